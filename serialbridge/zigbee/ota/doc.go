// Package ota updates the firmware of Zigbee devices: images from a folder or an index
// on the network, and the OTA Upgrade cluster (ZCL revision 8, chapter 11) by which
// devices fetch them.
//
// An index is a list in JSON, of which each entry tells which devices an image is for and
// where it is, in the form of github.com/Koenkk/zigbee-OTA. Images in the folder come
// first.
//
// # Contract
//
// Updater.Handle does not block; it is called by the network for each command of the
// cluster. Check and Update wait for the device and may be called from any goroutine; one
// of them runs for a device at a time. The one mutex guards who is waiting for what, and
// is not held while anything is sent or fetched.
//
// Limits: an image has at most 8 MiB, an index 16 MiB and 20,000 entries. An image whose
// index tells a hash is refused if it does not have it, and one is refused whose own header
// is not for the device that asks.
package ota
