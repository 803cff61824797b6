// Package network gives the box its place in the network of the house: the addresses of the
// Ethernet port, by DHCP or by hand, and IPv6.
//
// # Who does what
//
// By default gokrazy's DHCP client has the port, and nothing is changed here: it runs also when
// this program does not, so that even a box that crashes again and again can be reached. For an
// address by hand a [Manager] has init stop that client and tells the kernel by rtnetlink(7). What it
// sets there is marked as its own, so that the next start takes away what is no longer wanted,
// also after a crash. IPv6 is the kernel's: addresses by what routers announce (SLAAC), unless
// they are by hand or off.
//
// # Trials
//
// Who types a wrong address on the page would never reach it again. So [Manager.Try] has
// settings in force for a few minutes; who still reaches the page calls [Manager.Confirm], and
// only then they are written anywhere. Without that they go back, and after a crash or a power
// cut the next start knows nothing of them.
//
// # Wi-Fi
//
// [WiFi] is read and checked, and the page says that it is not there: the image has neither the
// firmware of the radio nor a program that logs in to a network.
//
// # Contract
//
// [Manager.Run] owns its goroutine and is the only one that changes the machine; the other
// methods may be called from any and only wait for the file that is written. The port is compared
// with the settings every 20 s at least: it may come late, as a USB adapter does. It is written for
// Linux 5.18 and later.
package network
