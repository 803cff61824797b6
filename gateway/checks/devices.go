package checks

import (
	"slices"
	"time"

	"lintel/serialbridge"
)

const (
	fewFrames    = 20 // of which nothing can be said yet
	manyDamaged  = 5  // percent of the frames of a stick
	listenLong   = 2 * time.Minute
	batteryWeak  = 15 // percent
	batteryEmpty = 5
)

func sticks(h House) Check {
	c := Check{ID: "sticks", Name: say("Sticks"), After: []string{"power"}}
	switch {
	case len(h.Sticks) == 0:
		c.Verdict, c.Why = NotThere, say("No stick is plugged in. Plug a USB dongle in: it shows up within seconds.")
	case h.Simulated:
		c.Why = several(len(h.Sticks), "There is one, which is simulated.", "There are %d, some of which are simulated.")
	default:
		c.Why = several(len(h.Sticks), "There is one.", "There are %d.")
	}
	return c
}

func stick(h House, s Stick) Check {
	c := Check{ID: "stick/" + s.ID, Name: say("Stick %s", shorten(s.Name)), After: []string{"power"}}
	all := s.Frames + s.Damaged
	switch s.State {
	case serialbridge.Online:
		if all >= fewFrames && 100*s.Damaged/all >= manyDamaged {
			c.Verdict, c.Why = Warning, say("%d of %d frames were damaged. Look at its cable and its antenna, and keep it away from USB 3 sockets and disks.", s.Damaged, all)
			c.Mend = see(say("See what it hears"), "/devices")
		} else {
			c.Why = several(s.Devices, "It works, and hears one device.", "It works, and hears %d devices.")
		}
	case serialbridge.Waiting:
		c.Verdict, c.Why = Bad, say("It is not there. Plug it in again, or forget it if it is gone for good.")
		if s.Err != "" && s.Named {
			c.Why = say("It is not there: %s", ended(s.Err))
		}
		if !s.Named {
			c.Mend = &Mend{Label: say("Forget it"), Path: "/checks/forget", Post: true, Fields: map[string]string{"stick": s.Device}, Level: "admin",
				Confirm: say("Forget this stick, and its devices in Home Assistant?")}
		}
	case serialbridge.Failed:
		c.Verdict, c.Why = Bad, say("It does not work: %s It is tried again by itself.", ended(s.Err))
	case serialbridge.Listening:
		c.Verdict, c.Why = Unknown, say("It is being listened to: nothing is recognised yet.")
		if h.Now.Sub(s.Since) > listenLong {
			c.Verdict, c.Why = Notice, say("Nothing was recognised for %s. Look whether something is connected to it, or name its protocol in the configuration.", Span(h.Now.Sub(s.Since)))
		}
	default:
		c.Verdict, c.Why = Notice, say("Nothing in this box speaks with such a stick. Name its protocol in the configuration, or unplug it.")
	}
	return c
}

// devices tells of those that are offline. Of those behind a stick that does not work the
// stick tells.
func devices(h House) Check {
	c := Check{ID: "devices", Name: say("Devices"), After: []string{"power"}}
	failed := make(map[string]string) // ID of the check by Device of the stick
	for _, s := range h.Sticks {
		if s.State != serialbridge.Online && s.Device != "" {
			failed[s.Device] = "stick/" + s.ID
		}
	}
	var own, behind []string
	for _, d := range h.Devices {
		switch stick, down := failed[d.Stick]; {
		case !d.Offline:
		case down:
			behind = append(behind, d.Name)
			if !slices.Contains(c.After, stick) {
				c.After = append(c.After, stick)
			}
		default:
			own = append(own, d.Name)
		}
	}
	offline := append(own, behind...)
	if len(own) > 0 {
		c.After, offline = []string{"power"}, own
	}
	switch n := len(h.Devices); {
	case n == 0:
		c.Verdict, c.Why = NotThere, say("No device has been heard yet.")
		return c
	case len(offline) == 0:
		c.Why = several(n, "One device is known, and it is online.", "All %d are online.")
		return c
	case len(offline) == 1:
		c.Verdict, c.Why = Notice, say("%s is offline. Look whether it has power and is in reach.", names(offline))
	case 2*len(offline) > n:
		c.Verdict, c.Why = Warning, say("%d of %d are offline: %s. Look whether they have power and are in reach.", len(offline), n, names(offline))
	default:
		c.Verdict, c.Why = Notice, say("%d of %d are offline: %s. Look whether they have power and are in reach.", len(offline), n, names(offline))
	}
	c.Mend = see(say("See the devices"), "/devices")
	return c
}

func batteries(h House) Check {
	c := Check{ID: "batteries", Name: say("Batteries"), After: []string{"devices"}}
	var empty, weak []string
	known := 0
	for _, d := range h.Devices {
		if d.Battery >= 0 || d.Weak {
			known++
		}
		switch {
		case d.Battery >= 0 && d.Battery <= batteryEmpty:
			empty = append(empty, d.Name)
		case d.Weak, d.Battery >= 0 && d.Battery <= batteryWeak:
			weak = append(weak, d.Name)
		}
	}
	switch {
	case len(empty) > 0:
		c.Verdict, c.Why = Warning, say("These need a new battery now: %s.", names(empty))
	case len(weak) > 0:
		c.Verdict, c.Why = Notice, say("These need a new battery soon: %s.", names(weak))
	case known == 0:
		c.Verdict, c.Why = NotThere, say("No device tells of a battery.")
	default:
		c.Why = say("All are good for a while.")
	}
	if !c.Verdict.Well() {
		c.After = nil // a device with an empty battery goes offline because of it
		c.Mend = see(say("See the devices"), "/devices")
	}
	return c
}
