// Package herdsman holds tests alone: zigbee-herdsman, the library under zigbee2mqtt,
// drives the simulated sticks. It forms networks on them, lets virtual devices
// join, interviews and configures them, hears their reports, and makes backups.
// What it can do with a simulated stick our drivers must too; and what it has backed
// up from one family of sticks they restore on the other, without a device
// noticing.
//
// It is run by Node, in a process of its own, and told by lines of JSON what to do
// (herdsman.mjs). Which version it is stands in serialbridge/zigbee/devices/oracle;
// `make deps` installs it. Without it the tests are skipped.
package herdsman
