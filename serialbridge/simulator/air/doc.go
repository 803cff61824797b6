// Package air is a Zigbee network that is not there: virtual devices, and the
// air between them and the radio of a simulated stick. Packages znpstick and
// ezspstick are such sticks.
package air
