package checks

import (
	"slices"
	"time"

	"lintel/gateway/update"
)

const day = 24 * time.Hour

const (
	certificateSoon = 30 * day
	certificateNow  = 7 * day

	backupOld   = 90 * day // of one that a person took
	backupFirst = 7 * day  // after the claim, until the first
)

func updates(h House) Check {
	c := Check{ID: "update", Name: say("Updates"), After: []string{"network", "clock", "space"}}
	u := h.Update
	if u == nil {
		c.Verdict, c.Why = NotThere, say("This Lintel is updated by who installed it.")
		return c
	}
	page := open(say("See the updates"), "/update")
	switch {
	case u.Unable != "":
		c.Verdict, c.Why = NotThere, verbatim(u.Unable)
	case u.Trial != nil:
		c.Verdict, c.Why, c.Mend = Notice, say("Version %s is on trial: it is kept when all is back that was there before.", u.Version), page
	case u.Installing != "":
		c.Why = say("Version %s is being installed.", u.Installing)
	case u.Failed != "":
		c.Verdict, c.Why, c.Mend = Warning, say("The last update failed. %s", u.Failed), page
	case u.Returned != nil:
		c.Verdict, c.Why, c.Mend = Warning, say("Version %s was tried and did not hold, so version %s is back. %s", u.Returned.Version, u.Version, u.Returned.Reason), page
	case u.RestartFirst && u.Available != nil:
		c.Verdict, c.Why = Notice, say("Before version %s can be installed the box has to be restarted once.", u.Available.Version)
		c.Mend = &Mend{Label: say("Restart the box"), Path: "/update/restart", Post: true, Level: "admin",
			Confirm: say("Restart the box? It is away for about a minute.")}
	case u.Available != nil:
		c.Verdict, c.Why = Notice, say("Version %s can be installed.", u.Available.Version)
		if u.Phase == update.Idle {
			c.Mend = &Mend{Label: say("Install version %s", u.Available.Version), Path: "/update/install", Post: true, Level: "admin",
				Confirm: say("Install the new version? The box restarts; if the house does not come back, the version of now does.")}
		}
	case u.CheckErr != "":
		c.Verdict, c.Why = Notice, say("New versions could not be looked for. %s", ended(u.CheckErr))
		c.Mend = &Mend{Label: say("Try again"), Path: "/update/check", Post: true, Level: "admin"}
	default:
		c.Why = say("Version %s is the newest that is known.", u.Version)
	}
	return c
}

func certificates(h House) Check {
	c := Check{ID: "certificates", Name: say("Certificates"), After: []string{"clock"}}
	if len(h.Certificates) == 0 {
		c.Verdict, c.Why = NotThere, say("There is none that somebody has to renew.")
		return c
	}
	if !h.ClockKnown {
		c.Verdict, c.Why = Unknown, say("Without the time it is not known which have run out.")
		return c
	}
	first := slices.MinFunc(h.Certificates, func(a, b Certificate) int { return a.Until.Compare(b.Until) })
	left := first.Until.Sub(h.Now)
	switch {
	case left <= 0 && first.Own:
		c.Verdict, c.Why = Bad, say("The certificate %s, which this box shows, has run out on %s: clients refuse it. Install another one.", first.Name, first.Until.Format(time.DateOnly))
	case left <= 0:
		c.Verdict, c.Why = Warning, say("The certificate %s has run out on %s: who comes with it is refused.", first.Name, first.Until.Format(time.DateOnly))
	case left <= certificateNow:
		c.Verdict, c.Why = Warning, say("The certificate %s runs out in %s.", first.Name, Span(left))
	case left <= certificateSoon:
		c.Verdict, c.Why = Notice, say("The certificate %s runs out in %s.", first.Name, Span(left))
	default:
		c.Why = say("The next one runs out on %s.", first.Until.Format(time.DateOnly))
	}
	if !c.Verdict.Well() && first.Page != "" {
		c.Mend = open(say("See the certificates"), first.Page)
	}
	return c
}

func backup(h House) Check {
	c := Check{ID: "backup", Name: say("Backup"), After: []string{"store"}}
	b := h.Backup
	if !b.Possible {
		c.Verdict, c.Why = NotThere, say("This Lintel makes none.")
		return c
	}
	c.Mend = open(say("Make a backup"), "/backup")
	switch {
	case !h.ClockKnown:
		c.Verdict, c.Why = Unknown, say("Without the time it is not known how old the last one is.")
	case b.Taken.IsZero() && h.Now.Sub(b.Claimed) < backupFirst:
		c.Why = say("There is time for that when all is set up.")
	case b.Taken.IsZero():
		c.Verdict, c.Why = Notice, say("No backup is known to have been downloaded. If the card breaks, all settings and keys are lost.")
	case h.Now.Sub(b.Taken) > backupOld:
		c.Verdict, c.Why = Notice, say("The last backup was downloaded %s ago.", Span(h.Now.Sub(b.Taken)))
	default:
		c.Why = say("The last one was downloaded %s ago.", Span(h.Now.Sub(b.Taken)))
	}
	if c.Verdict.Well() {
		c.Mend = nil
	}
	return c
}
