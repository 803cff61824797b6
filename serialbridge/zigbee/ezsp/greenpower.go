package ezsp

import "lintel/serialbridge/zigbee"

const (
	clusterGreenPower = 0x0021

	// Of a GPD frame.
	gpSourceID      = 0 // application: the device has a source ID of four bytes
	gpCommissioning = 0xe0

	// Commands of the Green Power cluster, to the server.
	gpNotification              = 0x00
	gpCommissioningNotification = 0x04
)

// greenPower takes a frame of a Green Power device and tells it as the
// notification that a proxy would have sent (GP specification, sections A.3.3.4.1
// and A.3.3.4.3).
func (c *Coordinator) greenPower(r *reader) {
	r.bytes(1) // status
	link, sequence := r.uint8(), r.uint8()
	application := r.uint8()
	source := r.uint32()
	r.bytes(4) // the rest of an IEEE address, or the source ID once more
	r.bytes(1) // endpoint
	level, keyType := r.uint8(), r.uint8()
	r.bytes(1) // auto-commissioning
	bidirectional := r.uint8()
	counter := r.uint32()
	command := r.uint8()
	r.bytes(5) // MIC, index in the proxy table
	payload := r.payload()
	quality := link
	if c.version() >= 16 && !r.bad {
		// The sender as of any message, from version 16 on.
		info := *r
		info.bytes(12)
		if q := info.uint8(); !info.bad {
			quality = q
		}
	}
	if r.bad {
		return
	}
	if application != gpSourceID || command == gpCommissioning && len(payload) == 0 {
		c.count(&c.counters.Strays)
		return
	}
	kind := byte(gpNotification)
	options := uint16(application&7) | uint16(level&3)<<6 | uint16(keyType&7)<<8 | uint16(bidirectional&1)<<11
	if command == gpCommissioning {
		kind = gpCommissioningNotification
		options = uint16(application&7) | uint16(bidirectional&1)<<3 | uint16(level&3)<<4 | uint16(keyType&7)<<6
	}
	const clusterCommand = 0x01 // frame control of ZCL
	data := []byte{clusterCommand, sequence, kind}
	data = append16(data, options)
	data = append32(data, source)
	data = append32(data, counter)
	data = append(data, command, byte(len(payload)))
	data = append(data, payload...)
	c.tell(zigbee.Incoming{
		Source:              zigbee.NetworkAddress(source & 0xffff),
		SourceEndpoint:      zigbee.EndpointGreenPower,
		DestinationEndpoint: zigbee.EndpointGreenPower,
		Profile:             zigbee.ProfileGreenPower,
		Cluster:             clusterGreenPower,
		LinkQuality:         quality,
		Data:                data,
	})
}
