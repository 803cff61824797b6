package checks

import (
	"fmt"

	"lintel/hardware"
)

// When a person is told of the machine.
const (
	hot        = 80 // °C: from here on a Raspberry Pi slows down
	littleLeft = 10 // percent of the memory, or of the disk, that is free
	stalled    = 10 // percent of a minute
	wornOut    = 80 // percent of the life of an eMMC

	leastSpace  = 100 << 20 // bytes of the disk
	plentySpace = 2 << 30   // that are enough, however large it is
)

// Machine judges the machine alone.
func Machine(h House) []Check {
	return []Check{heat(h), power(h), memory(h), space(h), wear(h)}
}

// start is what stood in the way at the start. Who saw it wrote a sentence.
func start(i int, text string) Check {
	return Check{ID: fmt.Sprintf("start/%d", i+1), Name: say("Start"), Verdict: Warning, Why: verbatim(text)}
}

func power(h House) Check {
	c := Check{ID: "power", Name: say("Power")}
	p := h.Power
	const weak = hardware.UnderVoltage
	switch {
	case p == nil:
		c.Verdict, c.Why = NotThere, say("This machine does not tell how it is supplied.")
	case p.Now&weak != 0:
		c.Verdict, c.Short, c.Why = Bad, "power too weak", say("The power supply or its cable is too weak: sticks fail and data is at risk. Use the power supply that is made for this board, and a short cable.")
	case p.Been&weak != 0:
		c.Verdict, c.Short, c.Why = Warning, "power was too weak", say("The power was too weak for a while since the start. Use the power supply that is made for this board, and a short cable.")
	case p.Now != 0:
		c.Why = say("There is enough. The processor is slowed down at the moment.")
	default:
		c.Why = say("There is enough.")
	}
	return c
}

func heat(h House) Check {
	c := Check{ID: "temperature", Name: say("Temperature")}
	switch {
	case h.Heat == 0:
		c.Verdict, c.Why = NotThere, say("This machine does not tell its temperature.")
	case h.Heat >= hot:
		c.Verdict, c.Short, c.Why = Warning, "too hot", say("The processor has %.0f °C and slows down: give the box more air, or a heat sink.", h.Heat)
	default:
		c.Why = say("The processor has %.0f °C.", h.Heat)
	}
	return c
}

func memory(h House) Check {
	c := Check{ID: "memory", Name: say("Memory")}
	m := h.Memory
	switch {
	case m.Total == 0:
		c.Verdict, c.Why = NotThere, say("This machine does not tell how much memory it has.")
	case m.Stalled >= stalled:
		c.Verdict, c.Short, c.Why = Warning, "memory short", say("Memory is short: programs have waited for it in %.0f %% of the last minute. Turn off what is not needed, such as sticks or other brokers, or take a board with more memory.", m.Stalled)
	case 100*m.Available/m.Total < littleLeft:
		c.Verdict, c.Short, c.Why = Warning, "memory short", say("Memory is short: %s of %s are free. Turn off what is not needed, such as sticks or other brokers, or take a board with more memory.", Size(m.Available), Size(m.Total))
	default:
		c.Why = say("%s of %s are free.", Size(m.Available), Size(m.Total))
	}
	return c
}

func space(h House) Check {
	c := Check{ID: "space", Name: say("Free space")}
	d := h.Disk
	switch {
	case d.Full:
		c.Verdict, c.Short, c.Why = Bad, "disk full", say("The disk is full, %s are free: nothing new is kept, and messages that would have to be are refused. Free some space, or take a larger disk.", Size(d.Free))
	case d.Total == 0:
		c.Verdict, c.Why = Unknown, say("Nothing is known of the disk.")
	case d.Free < leastSpace, d.Free < plentySpace && 100*d.Free/d.Total < littleLeft:
		c.Verdict, c.Short, c.Why = Warning, "disk nearly full", say("The disk is nearly full, %s of %s are free. When it is full, messages are refused.", Size(d.Free), Size(d.Total))
	default:
		c.Why = say("%s of %s are free.", Size(d.Free), Size(d.Total))
	}
	if !c.Verdict.Well() && d.Spare > 0 {
		c.Mend = &Mend{Label: say("Free %s", Size(d.Spare)), Path: "/checks/free", Post: true, Level: "admin",
			Confirm: say("Remove what was on this box before the last restore?")}
	}
	return c
}

func wear(h House) Check {
	c := Check{ID: "wear", Name: say("Wear of the disk")}
	switch d := h.Disk; {
	case d.Disk.Spare == "urgent" || d.LifeUsed > 100:
		c.Verdict, c.Short, c.Why = Bad, "disk worn out", say("The disk is worn out and may fail any day: make a backup now, and replace it.")
	case d.Disk.Spare == "warning" || d.LifeUsed >= wornOut:
		c.Verdict, c.Short, c.Why = Warning, "disk wears out", say("Most of the life of the disk is over: make a backup, and replace it in the next months.")
	case d.LifeUsed > 0:
		c.Why = say("At most %d %% of its life is used.", d.LifeUsed)
	case d.PerDay > 0:
		c.Why = say("%.2f GB are written in a day.", d.PerDay)
	default:
		c.Verdict, c.Why = NotThere, say("This disk does not tell how worn it is.")
	}
	if !c.Verdict.Well() && h.Backup.Possible {
		c.Mend = open(say("Make a backup"), "/backup")
	}
	return c
}

func store(h House) Check {
	c := Check{ID: "store", Name: say("Store"), After: []string{"space", "power", "wear"}}
	switch {
	case h.StoreErr != "":
		c.Verdict, c.Why = Bad, say("Nothing can be stored any more: %s.", h.StoreErr)
	case len(h.Losses) > 1:
		c.Verdict, c.Why = Warning, say("Something of what was stored is lost, in %d places. The first: %s", len(h.Losses), h.Losses[0])
	case len(h.Losses) == 1:
		c.Verdict, c.Why = Warning, say("Something of what was stored is lost: %s", h.Losses[0])
	default:
		c.Why = say("All that was stored is there.")
	}
	if !c.Verdict.Well() && h.Backup.Possible {
		c.Mend = open(say("Restore a backup"), "/backup")
	}
	return c
}
