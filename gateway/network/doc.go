// Package network gives the box its place in the network of the house: addresses of the
// Ethernet port by DHCP or by hand, IPv6, and Wi-Fi.
package network
