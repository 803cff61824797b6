package gateway

import (
	"fmt"
	"strings"

	"lintel/gateway/checks"
	"lintel/gateway/dashboard"
	"lintel/hardware"
)

// machine is how the machine under the box is, as far as it tells.
type machine struct {
	board       hardware.Board
	vitals      hardware.Vitals
	now, been   hardware.Trouble // been: since the start
	knowsPower  bool
	disk        hardware.Disk
	written     float64 // GB; 0: not known
	perDay      float64 // GB; negative: not known
	free, total uint64  // bytes on the disk
}

// readMachine asks the machine.
func (g *gateway) readMachine() machine {
	m := machine{board: hardware.ReadBoard(g.o.Root), vitals: hardware.ReadVitals(g.o.Root), perDay: -1}
	m.now, m.been, m.knowsPower = hardware.ReadThrottling(g.o.Root)
	m.been = g.vitals.troubleSinceStart(m.been)
	if disk, err := hardware.ReadDisk(g.o.Root, g.o.Data); err == nil {
		m.disk = disk
		m.written, m.perDay = g.wear.gigabytes(disk.Written)
	}
	m.free, m.total, _ = hardware.ReadSpace(g.o.Data)
	return m
}

// tell adds what is known to a house that is to be judged.
func (m *machine) tell(h *checks.House) {
	if m.knowsPower {
		h.Power = &checks.Power{Now: m.now, Been: m.been}
	}
	h.Heat = m.vitals.Temperature
	h.Memory = checks.Memory{Total: m.vitals.MemoryTotal, Available: m.vitals.MemoryAvailable, Stalled: m.vitals.MemoryStalled}
	h.Disk = checks.Disk{Disk: m.disk, Free: m.free, Total: m.total, PerDay: m.perDay}
}

// facts tells of the machine in words: what is known, and what to do if it is bad.
func (m *machine) facts() []dashboard.Fact {
	var h checks.House
	m.tell(&h)
	judged := make(map[string]checks.Check)
	for _, c := range checks.Machine(h) {
		judged[c.ID] = c
	}
	var all []dashboard.Fact
	add := func(name, value, check string) {
		if value == "" {
			return
		}
		f := dashboard.Fact{Name: name, Value: value}
		if c := judged[check]; !c.Verdict.Well() {
			f.Short, f.Problem = c.Short, c.Why.String()
		}
		all = append(all, f)
	}
	add("Board", m.board.Model, "")
	add("Serial number", m.board.SerialNumber, "")
	if m.vitals.Temperature != 0 {
		add("Processor", fmt.Sprintf("%.0f °C", m.vitals.Temperature), "temperature")
	}
	add("Power", m.power(), "power")
	if m.vitals.MemoryTotal > 0 {
		add("Memory", fmt.Sprintf("%s of %s free", checks.Size(m.vitals.MemoryAvailable), checks.Size(m.vitals.MemoryTotal)), "memory")
	}
	disk := m.disk.Kind
	switch disk {
	case "":
		disk = "Disk"
	case "SD":
		disk = "Card"
	case "MMC":
		disk = "eMMC"
	}
	if m.total > 0 {
		add(disk, fmt.Sprintf("%s of %s free", checks.Size(m.free), checks.Size(m.total)), "space")
	}
	add(disk+" wear", strings.Join(m.wear(), ", "), "wear")
	return all
}

// power says how the machine is supplied; empty: it does not tell.
func (m *machine) power() string {
	switch weak := hardware.UnderVoltage; {
	case !m.knowsPower:
		return ""
	case m.now&weak != 0:
		return "too weak"
	case m.been&weak != 0:
		return "was too weak for a while"
	case m.now != 0:
		return "enough; the processor is slowed down (" + m.now.String() + ")"
	}
	return "enough"
}

// wear is what is known of the wear of the disk.
func (m *machine) wear() (known []string) {
	if m.disk.Model != "" {
		known = append(known, strings.TrimSuffix(m.disk.Model+" of "+m.disk.Made, " of "))
	}
	if m.disk.LifeUsed > 0 {
		known = append(known, fmt.Sprintf("%d %% of its life used", m.disk.LifeUsed))
	}
	if m.written > 0 {
		known = append(known, fmt.Sprintf("%.1f GB written", m.written))
	}
	if m.perDay > 0 {
		known = append(known, fmt.Sprintf("%.2f GB a day", m.perDay))
	}
	return known
}

// machineFacts asks the machine for its facts.
func (g *gateway) machineFacts() []dashboard.Fact {
	m := g.readMachine()
	return m.facts()
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
