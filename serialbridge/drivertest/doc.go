// Package drivertest has what the tests of all drivers need.
package drivertest
