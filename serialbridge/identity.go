package serialbridge

import (
	"fmt"
	"hash/fnv"
	"path/filepath"
	"strings"

	"lintel/hardware"
)

// maxSuffix bounds what an anonymous device gets of its stick, in bytes.
const maxSuffix = 32

// suffix is what tells the devices of this stick from those of its twins: the
// serial number of the stick, the socket that it is in if it has none, or the name
// of a port that USB does not know of.
func (st *stick) suffix() string {
	name := filepath.Base(st.id)
	if !st.named {
		// hardware.SerialPort.ID is vendor:product:serial:interface.
		name = strings.TrimSuffix(st.id, ":00")
		for range 2 {
			_, name, _ = strings.Cut(name, ":")
		}
	}
	return shortened(IDPart(name), maxSuffix, st.id)
}

// shortened returns name in at most limit bytes: a hash of id stands for what is cut off.
func shortened(name string, limit int, id string) string {
	if len(name) <= limit {
		return name
	}
	h := fnv.New32a()
	h.Write([]byte(id))
	return fmt.Sprintf("%s_%08x", name[:limit-9], h.Sum32())
}

// stickPrefix begins the IDs of sticks, and those of no devices.
const stickPrefix = "stick_"

// deviceID returns the ID of the stick where one of a device is wanted.
func (st *stick) deviceID() string { return StickID(st.id) }

// StickID returns StickStatus.Device of the stick with that StickStatus.ID.
func StickID(id string) string {
	name := strings.TrimSuffix(strings.TrimLeft(id, "/"), ":00")
	return shortened(stickPrefix+IDPart(name), maxID, id)
}

// memoryOf returns the name under which what a driver remembers is kept.
func (st *stick) memoryOf(d *Driver) string {
	if d.OwnMemory {
		return d.Protocol + "@" + st.suffix()
	}
	return d.Protocol
}

// bySocket tells whether a stick is known only by the socket that it is in.
func bySocket(id string, p hardware.SerialPort) bool {
	return p.PortPath != "" && strings.Contains(id, p.PortPath)
}

// identify gives an anonymous device the ID that it has in the house, and one that
// hangs below it the right Via. The driver goes on to use its own.
func (k *sink) identify(d Device) Device {
	if d.Anonymous {
		if k.known == nil {
			k.known = make(map[string]string)
		}
		if len(k.known) < maxDevices {
			k.known[d.ID] = d.ID + "_" + k.st.suffix()
		}
		d.ID = k.inHouse(d.ID)
	}
	d.Via = k.inHouse(d.Via)
	return d
}

// inHouse returns the ID in the house of a device of the driver.
func (k *sink) inHouse(id string) string {
	if known, ok := k.known[id]; ok {
		return known
	}
	return id
}
