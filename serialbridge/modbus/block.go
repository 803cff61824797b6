package modbus

import (
	"cmp"
	"slices"
	"time"
)

// A block is what one request reads.
type block struct {
	function  byte
	address   int
	count     int
	registers []*register // in the order of their addresses

	every   time.Duration
	due     time.Time
	refused bool // it is one register, and the unit does not have it
}

// plan makes the blocks of the unit: what is polled equally often and stands
// together is read at once.
func (u *unit) plan() {
	u.blocks = nil
	for _, slow := range []bool{false, true} {
		every := time.Duration(cmp.Or(u.Interval, defaultInterval)) * time.Second
		if slow {
			every = time.Duration(cmp.Or(u.SlowInterval, defaultSlowInterval)) * time.Second
		}
		var registers []*register
		for _, r := range u.table.registers {
			if (r.Poll == "slow") == slow {
				registers = append(registers, r)
			}
		}
		for _, b := range u.table.join(registers) {
			b.every = every
			u.blocks = append(u.blocks, b)
		}
	}
}

// join puts registers into as few blocks as the device allows.
func (t *table) join(registers []*register) []*block {
	registers = slices.Clone(registers)
	slices.SortStableFunc(registers, func(a, b *register) int {
		return cmp.Or(cmp.Compare(a.read, b.read), cmp.Compare(a.Address, b.Address), cmp.Compare(b.words, a.words))
	})
	var blocks []*block
	var last *block
	for _, r := range registers {
		end := r.Address + r.words
		if last == nil || last.function != r.read || r.Address-(last.address+last.count) > t.MaxGap || end-last.address > t.MaxRead {
			last = &block{function: r.read, address: r.Address}
			blocks = append(blocks, last)
		}
		last.count = max(last.count, end-last.address)
		last.registers = append(last.registers, r)
	}
	return blocks
}

func (b *block) request(u *unit) request {
	return request{unit: byte(u.Address), function: b.function, address: uint16(b.address), count: b.count}
}

// next sets when the block is read again: in time with the times before, if the
// bus is fast enough.
func (b *block) next(now time.Time) {
	b.due = b.due.Add(b.every)
	if b.due.Before(now) {
		b.due = now.Add(b.every)
	}
}

// askRefused is how long a register that the unit does not have is left alone.
const askRefused = time.Hour

// refuse learns that the unit does not read the block. Halves are tried, until it
// is clear which registers it does not have: firmware differs.
func (u *unit) refuse(b *block, now time.Time) {
	if len(b.registers) == 1 {
		b.refused = true
		b.due = now.Add(askRefused)
		return
	}
	i := slices.Index(u.blocks, b)
	half := len(b.registers) / 2
	var parts []*block
	for _, registers := range [][]*register{b.registers[:half], b.registers[half:]} {
		for _, part := range u.table.join(registers) {
			part.every, part.due = b.every, now
			parts = append(parts, part)
		}
	}
	u.blocks = slices.Replace(u.blocks, i, i+1, parts...)
}
