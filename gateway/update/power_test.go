package update

import (
	"errors"
	"math/rand/v2"
	"os"
)

var errPower = errors.New("the power is off")

// power goes off before a given write. What was written to a device and not synced is
// there afterwards or not, as it happens.
type power struct {
	left   int // writes until it goes off; negative: never
	writes int // in all
	off    bool
	random *rand.Rand
	undo   []func() // of what is not synced
}

func (p *power) step() error {
	if p.off {
		return errPower
	}
	if p.left == 0 {
		p.off = true
		for i := len(p.undo) - 1; i >= 0; i-- {
			if p.random.IntN(2) == 0 {
				p.undo[i]()
			}
		}
		return errPower
	}
	p.left--
	p.writes++
	return nil
}

// over has all writes of a machine depend on the power.
func (p *power) over(m *Machine) {
	open, replace := m.open, m.replace
	m.open = func(name string, write bool) (device, error) {
		d, err := open(name, write)
		if err != nil {
			return nil, err
		}
		return &powered{device: d, name: name, p: p}, nil
	}
	m.replace = func(name string, content []byte) error {
		if err := p.step(); err != nil {
			return err
		}
		return replace(name, content)
	}
}

type powered struct {
	device
	name string
	p    *power
}

func (d *powered) WriteAt(b []byte, at int64) (int, error) {
	if err := d.p.step(); err != nil {
		return 0, err
	}
	before := make([]byte, len(b))
	f, err := os.OpenFile(d.name, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	if _, err := f.ReadAt(before, at); err != nil {
		return 0, err
	}
	f.Close()
	d.p.undo = append(d.p.undo, func() {
		if f, err := os.OpenFile(d.name, os.O_RDWR, 0); err == nil {
			// Sectors are written one by one.
			for i := 0; i < len(before); i += sectorSize {
				if d.p.random.IntN(2) == 0 {
					f.WriteAt(before[i:i+sectorSize], at+int64(i))
				}
			}
			f.Close()
		}
	})
	return d.device.WriteAt(b, at)
}

func (d *powered) Sync() error {
	if err := d.p.step(); err != nil {
		return err
	}
	err := d.device.Sync()
	d.p.undo = nil
	return err
}
