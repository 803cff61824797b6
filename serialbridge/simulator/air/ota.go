package air

import (
	"encoding/binary"
	"errors"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// Commands of the OTA Upgrade cluster (section 11.13); the devices are its clients.
const (
	imageNotify       = 0x00
	queryImage        = 0x01
	queryImageAnswer  = 0x02
	blockRequest      = 0x03
	blockAnswer       = 0x05
	upgradeEnd        = 0x06
	upgradeEndAnswer  = 0x07
	blockSize         = 64
	maxImage          = 4 << 20
	blockPatience     = 5 * time.Second
	maxBlockRequests  = 5 // for the same block
	imageType         = 0x0101
	firstFileVersion  = 1
	imageHeaderLength = 56
)

// download is an image that a device fetches.
type download struct {
	endpoint *endpoint
	to       zigbee.NetworkAddress
	port     uint8 // endpoint of the server
	version  uint32
	kind     uint16
	size     uint32
	image    []byte
	tries    int
	turn     uint64
}

// Firmware returns the image that a device has downloaded last, and the version it
// runs: what is not of the form of an image it does not take.
func (n *Network) Firmware(a zigbee.IEEEAddress) (image []byte, version uint32, err error) {
	err = n.with(a, func(d *device) { image, version = d.image, d.fileVersion() })
	return image, version, err
}

func (d *device) fileVersion() uint32 {
	if d.imageVersion == 0 {
		return firstFileVersion
	}
	return d.imageVersion
}

// QueryImage lets a device ask whether there is a newer image for it.
func (n *Network) QueryImage(a zigbee.IEEEAddress) error {
	var failed error
	if err := n.with(a, func(d *device) {
		e := d.client(clusterOTA)
		if e == nil {
			failed = errors.New("air: the device has no OTA Upgrade cluster")
			return
		}
		d.query(e, zigbee.ToCoordinator, 1)
	}); err != nil {
		return err
	}
	return failed
}

// client returns the first endpoint that uses the cluster.
func (d *device) client(cluster uint16) *endpoint {
	for _, e := range d.endpoints {
		for _, c := range e.out {
			if c == cluster {
				return e
			}
		}
	}
	return nil
}

// query sends QueryNextImageRequest (section 11.13.4).
func (d *device) query(e *endpoint, to zigbee.NetworkAddress, port uint8) {
	payload := binary.LittleEndian.AppendUint16([]byte{0}, d.model.manufacturer)
	payload = binary.LittleEndian.AppendUint16(payload, imageType)
	payload = binary.LittleEndian.AppendUint32(payload, d.fileVersion())
	d.ota(e, to, port, queryImage, payload)
}

func (d *device) ota(e *endpoint, to zigbee.NetworkAddress, port, command uint8, payload []byte) {
	d.send(Frame{Destination: to, SourceEndpoint: e.id, DestinationEndpoint: port, Profile: e.profile, Cluster: clusterOTA},
		zcl.Frame{Type: zcl.Specific, Sequence: d.next(), Command: command, Payload: payload})
}

// answeredBy takes what a server says to the device as its client.
func (d *device) answeredBy(r *request) {
	if r.cluster != clusterOTA || r.frame.Type != zcl.Specific {
		return
	}
	p := r.frame.Payload
	switch r.frame.Command {
	case imageNotify:
		d.query(r.endpoint, r.from, r.port)
		r.quiet = true
	case queryImageAnswer:
		if len(p) < 13 || p[0] != 0 {
			return
		}
		u := &download{endpoint: r.endpoint, to: r.from, port: r.port, kind: binary.LittleEndian.Uint16(p[3:]),
			version: binary.LittleEndian.Uint32(p[5:]), size: binary.LittleEndian.Uint32(p[9:])}
		if u.size < imageHeaderLength || u.size > maxImage || u.version == d.fileVersion() {
			return
		}
		d.update = u
		d.fetchBlock()
	case blockAnswer:
		d.block(p)
	case upgradeEndAnswer:
		if u := d.update; u != nil && len(u.image) == int(u.size) {
			d.image, d.imageVersion, d.update = u.image, u.version, nil
			d.announce() // it has started anew
		}
	}
}

// fetchBlock asks for the next block, several times if nobody answers.
func (d *device) fetchBlock() {
	u := d.update
	u.turn++
	u.tries++
	if u.tries > maxBlockRequests {
		d.update = nil
		return
	}
	payload := binary.LittleEndian.AppendUint16([]byte{0}, d.model.manufacturer)
	payload = binary.LittleEndian.AppendUint16(payload, u.kind)
	payload = binary.LittleEndian.AppendUint32(payload, u.version)
	payload = binary.LittleEndian.AppendUint32(payload, uint32(len(u.image)))
	d.ota(u.endpoint, u.to, u.port, blockRequest, append(payload, byte(min(blockSize, int(u.size)-len(u.image)))))
	d.retryAfter(blockPatience)
}

func (d *device) retryAfter(wait time.Duration) {
	u := d.update
	turn, life := u.turn, d.life
	d.network.after(wait, func() {
		if d.life == life && d.update == u && u.turn == turn {
			d.fetchBlock()
		}
	})
}

// block takes an ImageBlockResponse (section 11.13.8).
func (d *device) block(p []byte) {
	u := d.update
	switch {
	case u == nil || len(p) == 0:
	case zcl.Status(p[0]) == zcl.WaitForData && len(p) >= 9:
		now, then := binary.LittleEndian.Uint32(p[1:]), binary.LittleEndian.Uint32(p[5:])
		u.turn, u.tries = u.turn+1, 0
		wait := time.Duration(then) * time.Second
		if then > now && now > 0 {
			wait = time.Duration(then-now) * time.Second
		}
		d.retryAfter(min(max(wait, time.Second), time.Minute))
	case p[0] != 0:
		d.update = nil // aborted
	case len(p) >= 14 && binary.LittleEndian.Uint32(p[9:]) == uint32(len(u.image)) && int(p[13]) <= len(p)-14:
		u.image, u.tries = append(u.image, p[14:14+int(p[13])]...), 0
		if len(u.image) < int(u.size) {
			d.fetchBlock()
			return
		}
		u.turn++
		status := byte(zcl.Success)
		if len(u.image) != int(u.size) || binary.LittleEndian.Uint32(u.image) != 0x0beef11e {
			status = byte(zcl.InvalidImage)
		}
		payload := binary.LittleEndian.AppendUint16([]byte{status}, d.model.manufacturer)
		payload = binary.LittleEndian.AppendUint16(payload, u.kind)
		d.ota(u.endpoint, u.to, u.port, upgradeEnd, binary.LittleEndian.AppendUint32(payload, u.version))
		if status != byte(zcl.Success) {
			d.update = nil
		}
	}
}
