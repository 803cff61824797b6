package modbus

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lintel/serialbridge"
)

// A unit is a device on the bus.
type unit struct {
	Unit
	table *table

	// What it has said of itself, by kind of register.
	said map[string]string
	// identified says that it was asked for all that.
	identified bool
	announced  serialbridge.Device

	blocks []*block // what is polled

	failures int       // questions in a row that stayed without answer
	retry    time.Time // when it is tried again if there are any
	mute     int       // questions for its identity that stayed without answer, while it answers others
}

func newUnit(settings Unit, t *table) *unit {
	u := &unit{Unit: settings, table: t, said: make(map[string]string)}
	u.plan()
	return u
}

// id returns the ID of the device. The serial number makes it, if there is one; else
// the address, which is that of others on other buses.
func (u *unit) id(serial string) (id string, anonymous bool) {
	prefix := "modbus_" + u.table.Name + "_"
	if serial != "" {
		return prefix + serialbridge.IDPart(serial), false
	}
	return prefix + strconv.Itoa(u.Address), true
}

// device returns what the house is told of the unit.
func (u *unit) device() serialbridge.Device {
	d := serialbridge.Device{
		Name:         u.name(),
		Vendor:       u.table.Vendor,
		Model:        cmp.Or(u.said[kindModel], u.table.Model),
		SerialNumber: u.said[kindSerial],
		HWVersion:    u.said[kindHardware],
		SWVersion:    u.said[kindSoftware],
	}
	d.ID, d.Anonymous = u.id(u.said[kindSerial])
	for _, r := range u.table.registers {
		if !slices.ContainsFunc(u.blocks, func(b *block) bool { return b.refused && b.registers[0] == r }) {
			d.Properties = append(d.Properties, r.properties()...)
		}
	}
	return d
}

// maxSerial bounds what of a serial number gets into an ID, which has at most 64
// characters.
const maxSerial = 24

// know takes what the unit says of itself out of an answer. It reports whether
// there was something.
func (u *unit) know(q request, data []byte) bool {
	found := false
	for _, r := range u.table.identity {
		part, ok := r.part(q, data)
		if !ok {
			continue
		}
		found = true
		s := ""
		if r.Type == "text" {
			s = text(part)
		} else if n := r.number(part); n != 0 && !slices.Contains(r.Invalid, n) {
			s = fmt.Sprint(r.scaled(n))
		}
		if r.Kind == kindSerial {
			s = s[:min(len(s), maxSerial)]
			if strings.Trim(s, "0 ") == "" {
				s = "" // none was given to it
			}
		}
		u.said[r.Kind] = s
	}
	return found
}

// on returns the units with an address: several, if one has several maps.
func on(units []*unit, address byte) []*unit {
	var found []*unit
	for _, u := range units {
		if u.Address == int(address) {
			found = append(found, u)
		}
	}
	return found
}

// name is what a person calls the unit.
func (u *unit) name() string {
	return cmp.Or(u.Name, u.table.Title, u.table.Model, u.table.Name)
}

// title is what reasons call it.
func (u *unit) title() string { return fmt.Sprintf("%s (unit %d)", u.name(), u.Address) }
