package gateway

import (
	"fmt"
	"math"
	"strings"

	"lintel/gateway/dashboard"
	"lintel/hardware"
)

// When a person is told of the machine.
const (
	hot         = 80        // °C: from here on a Raspberry Pi slows down, at 85 to a crawl
	littleLeft  = 10        // percent of the memory that is free
	stalled     = 10        // percent of a minute in which something waited for memory
	littleSpace = 10        // percent of the disk that is free
	leastSpace  = 100 << 20 // bytes of it
	plentySpace = 2 << 30   // bytes of it that are enough, however large the disk is
	wornOut     = 80        // percent of the life of an eMMC
)

// machine is how the machine under the box is, as far as it tells.
type machine struct {
	board           hardware.Board
	vitals          hardware.Vitals
	now, been       hardware.Trouble
	knowsPower      bool
	disk            hardware.Disk
	written, perDay float64 // GB; 0: not known
	free, total     uint64  // bytes on the disk
}

// readMachine asks the machine.
func (g *gateway) readMachine() machine {
	m := machine{board: hardware.ReadBoard(g.o.Root), vitals: hardware.ReadVitals(g.o.Root)}
	m.now, m.been, m.knowsPower = hardware.ReadThrottling(g.o.Root)
	m.been |= g.vitals.troubleBefore()
	if disk, err := hardware.ReadDisk(g.o.Root, g.o.Data); err == nil {
		m.disk = disk
		values := make(map[string]any)
		g.wear.tell(values, disk.Written)
		m.written, _ = values["written"].(float64)
		m.perDay, _ = values["written_per_day"].(float64)
	}
	m.free, m.total, _ = hardware.ReadSpace(g.o.Data)
	return m
}

// facts tells of the machine in words: what is known, and what to do if it is bad.
func (m machine) facts() []dashboard.Fact {
	var all []dashboard.Fact
	add := func(name, value, short, problem string) {
		if value != "" {
			all = append(all, dashboard.Fact{Name: name, Value: value, Short: short, Problem: problem})
		}
	}
	add("Board", m.board.Model, "", "")
	add("Serial number", m.board.SerialNumber, "", "")
	if t := m.vitals.Temperature; t != 0 {
		short, problem := "", ""
		if t >= hot {
			short, problem = "too hot", fmt.Sprintf("The processor has %.0f °C and slows down: give the box more air, or a heat sink.", t)
		}
		add("Processor", fmt.Sprintf("%.0f °C", t), short, problem)
	}
	if m.knowsPower {
		m.addPower(add)
	}
	m.addMemory(add)
	m.addDisk(add)
	return all
}

func (m machine) addPower(add func(name, value, short, problem string)) {
	const supply = "use the power supply that is made for this board, and a short cable."
	switch weak := hardware.UnderVoltage; {
	case m.now&weak != 0:
		add("Power", "too weak", "power too weak", "The power supply or its cable is too weak: "+supply)
	case m.been&weak != 0:
		add("Power", "was too weak for a while", "power was too weak", "The power supply or its cable was too weak for a while since the start: "+supply)
	case m.now != 0:
		add("Power", "enough; the processor is slowed down ("+m.now.String()+")", "", "")
	default:
		add("Power", "enough", "", "")
	}
}

func (m machine) addMemory(add func(name, value, short, problem string)) {
	v := m.vitals
	if v.MemoryTotal == 0 {
		return
	}
	free := 100 * v.MemoryAvailable / v.MemoryTotal
	short, problem := "", ""
	const advice = "turn off what is not needed, such as sticks or uplinks, or take a board with more memory."
	switch {
	case v.MemoryStalled >= stalled:
		short, problem = "memory short", fmt.Sprintf("Memory is short, and programs have waited for it in %.0f %% of the last minute: ", v.MemoryStalled)+advice
	case free < littleLeft:
		short, problem = "memory short", fmt.Sprintf("Memory is short, %d %% of it is free: ", free)+advice
	}
	add("Memory", fmt.Sprintf("%s of %s free", bytesInWords(v.MemoryAvailable), bytesInWords(v.MemoryTotal)), short, problem)
}

func (m machine) addDisk(add func(name, value, short, problem string)) {
	what := m.disk.Kind
	switch what {
	case "":
		what = "Disk"
	case "SD":
		what = "Card"
	case "MMC":
		what = "eMMC"
	}
	if m.total > 0 {
		short, problem := "", ""
		if m.free < leastSpace || m.free < plentySpace && 100*m.free/m.total < littleSpace {
			short = "disk nearly full"
			problem = fmt.Sprintf("The disk is nearly full, %s of %s are free: remove what lies in the data folder and is not needed, or take a larger one. When it is full, messages are refused.",
				bytesInWords(m.free), bytesInWords(m.total))
		}
		add(what, fmt.Sprintf("%s of %s free", bytesInWords(m.free), bytesInWords(m.total)), short, problem)
	}
	var wear []string
	if m.disk.Model != "" {
		wear = append(wear, strings.TrimSuffix(m.disk.Model+" of "+m.disk.Made, " of "))
	}
	if m.disk.LifeUsed > 0 {
		wear = append(wear, fmt.Sprintf("%d %% of its life used", m.disk.LifeUsed))
	}
	if m.written > 0 {
		wear = append(wear, fmt.Sprintf("%.1f GB written", m.written))
	}
	if m.perDay > 0 {
		wear = append(wear, fmt.Sprintf("%.2f GB a day", m.perDay))
	}
	short, problem := "", ""
	switch {
	case m.disk.Spare == "urgent" || m.disk.LifeUsed > 100:
		short, problem = "disk worn out", "The "+what+" is worn out and may fail any day: make a backup now, and replace it."
	case m.disk.Spare == "warning" || m.disk.LifeUsed >= wornOut:
		short, problem = "disk wears out", "Most of the life of the "+what+" is over: make backups, and replace it in the next months."
	}
	add(what+" wear", strings.Join(wear, ", "), short, problem)
}

// bytesInWords writes a size as disks and memory are sold.
func bytesInWords(n uint64) string {
	switch mb := float64(n) / 1e6; {
	case mb >= 9_950:
		return fmt.Sprintf("%.0f GB", mb/1000)
	case mb >= 995:
		return fmt.Sprintf("%.1f GB", mb/1000)
	default:
		return fmt.Sprintf("%.0f MB", math.Floor(mb))
	}
}

// machineProblems are the facts about the machine that need a person.
func machineProblems(facts []dashboard.Fact) (short, sentences []string) {
	for _, f := range facts {
		if f.Problem != "" {
			short, sentences = append(short, f.Short), append(sentences, f.Problem)
		}
	}
	return short, sentences
}
