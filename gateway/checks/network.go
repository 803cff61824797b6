package checks

import "time"

// longAgo is how long the clock may go without having been compared.
const longAgo = 24 * time.Hour

// firstYear is the earliest in which a clock can be right.
const firstYear = 2026

func lan(h House) Check {
	c := Check{ID: "network", Name: say("Network"), After: []string{"power"}}
	n := h.Network
	if n != nil {
		c.Mend = open(say("Open the network settings"), "/network")
	}
	switch {
	case n != nil && n.Trial != nil && n.InForce:
		c.Verdict, c.Why = Warning, say("New settings are on trial. They go back by themselves in %d s unless somebody keeps them.", n.Seconds)
		c.Mend = &Mend{Label: say("Keep them"), Path: "/network/confirm", Post: true, Level: "admin"}
	case n != nil && n.Trial != nil:
		c.Verdict, c.Why = Warning, say("New settings are being put in force.")
	case !h.Addressed:
		c.Verdict, c.Why = Bad, say("The box has no address in the network. Look whether the cable is plugged in at both ends and the router gives addresses (DHCP).")
	case n != nil && n.Problem != "":
		c.Verdict, c.Why = Bad, say("The settings could not be put in force: %s.", n.Problem)
	case n != nil && n.Last != "":
		c.Verdict, c.Why = Notice, verbatim(n.Last)
	case h.NoWiFi != "":
		c.Verdict, c.Why = Notice, say("The configuration names the wireless network %q, which this version cannot join. The box uses its cable.", h.NoWiFi)
	default:
		c.Why, c.Mend = say("The box has an address."), nil
	}
	return c
}

func name(h House) Check {
	c := Check{ID: "name", Name: say("Name on the network"), After: []string{"network"}}
	switch n := h.Name; {
	case n == nil:
		c.Verdict, c.Why = NotThere, say("The box does not make itself known: it is reached by its address.")
	case n.Err != "":
		c.Verdict, c.Why = Warning, say("The box is not found by its name: %s.", n.Err)
	case n.Is != n.Wanted:
		c.Verdict, c.Why = Notice, say("Another machine on this network is called %s, so this box is %s and stays that.", n.Wanted, n.Is)
	default:
		c.Why = say("The box is %s.", n.Is)
	}
	return c
}

func wallClock(h House) Check {
	c := Check{ID: "clock", Name: say("Clock"), After: []string{"network"}}
	k := h.Clock
	shown := h.Now.Format("2006-01-02 15:04")
	switch {
	case k == nil && h.Now.Year() < firstYear:
		c.Verdict, c.Why = Bad, say("The clock of this machine shows %s. Set it: certificates and everything that runs out goes by it.", shown)
	case k == nil:
		c.Why = say("Something else sets the clock of this machine.")
	case !k.Synchronised && !h.ClockKnown && k.Problem != "":
		c.Verdict, c.Why = Bad, say("The box does not know what time it is, its clock shows %s. %s", shown, ended(k.Problem))
	case !k.Synchronised && !h.ClockKnown && h.Uptime > 2*time.Minute:
		c.Verdict, c.Why = Bad, say("The box does not know what time it is, its clock shows %s.", shown)
	case !k.Synchronised && !h.ClockKnown:
		c.Verdict, c.Why = Unknown, say("The box asks what time it is.")
	case k.Problem != "" && h.Now.Sub(k.Set) > longAgo:
		c.Verdict, c.Why = Notice, say("The clock was not compared for more than a day. %s", ended(k.Problem))
	default:
		c.Why = say("The clock is right.")
	}
	if !c.Verdict.Well() && k != nil && h.Network != nil {
		c.Mend = open(say("See the time servers"), "/network#time")
	}
	return c
}

// ended is the text of an error as a sentence.
func ended(text string) string {
	if text == "" {
		return ""
	}
	if last := text[len(text)-1]; last != '.' && last != '!' && last != '?' {
		text += "."
	}
	return text
}
