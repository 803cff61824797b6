package checks

import (
	"cmp"

	"maps"
	"slices"
	"strings"
	"time"
)

const (
	nearlyFull = 80              // percent of a limit
	settling   = 3 * time.Minute // after a start, until who was there before is back
)

func broker(h House) Check {
	c := Check{ID: "broker", Name: say("Broker"), After: []string{"store", "memory"}}
	b := h.Broker
	switch {
	case b.Listeners == 0:
		c.Verdict, c.Why = Bad, say("Nobody can reach the broker: no listener is configured.")
	case reaches(b.QueuedBytes, b.QueuedMost):
		c.Verdict, c.Why = Warning, say("%s wait for clients that are away, of %s that may. Beyond that messages are left out: end the sessions that nobody needs.", Size(uint64(b.QueuedBytes)), Size(uint64(b.QueuedMost)))
		c.Mend = open(say("See the clients"), "/broker")
	case reaches(int64(b.Retained), int64(b.RetainedMost)) || reaches(b.RetainedBytes, b.RetainedRoom):
		c.Verdict, c.Why = Warning, say("%d retained messages take %s: nearly as much as may be. Beyond that new ones are refused: delete those that nobody needs.", b.Retained, Size(uint64(b.RetainedBytes)))
		c.Mend = open(say("See the topics"), "/topics")
	default:
		c.Why = say("It takes connections.")
	}
	return c
}

func reaches(n, most int64) bool { return most > 0 && n >= most/100*nearlyFull }

func receivers(h House) Check {
	c := Check{ID: "receivers", Name: say("Receivers"), After: []string{"network", "broker"}}
	switch b := h.Broker; {
	case len(b.Slow) > 0:
		c.Verdict, c.Why = Warning, say("Messages were left out in the last hour, because these clients did not take them: %s. Look at their network, or give them less to receive.", names(b.Slow))
		c.Mend = see(say("See the clients"), "/broker")
	case b.Dropped > 0:
		c.Verdict, c.Why = Notice, several(b.Dropped, "A message was left out in the last hour.", "%d messages were left out in the last hour.")
		c.Mend = see(say("See the clients"), "/broker")
	default:
		c.Why = say("All clients take what is for them.")
	}
	return c
}

// manyRefused is how many logins in an hour are refused without anybody being told.
const manyRefused = 10

func access(h House) Check {
	c := Check{ID: "access", Name: say("Access")}
	a := h.Access
	listeners := func() string { return strings.Join(slices.Sorted(maps.Keys(a.Anonymous)), ", ") }
	powerful := func() bool { return slices.Contains(slices.Collect(maps.Values(a.Anonymous)), "admin") }
	switch {
	case a.RoleFile != "":
		c.Verdict, c.Why = Warning, say("The rules in force are not those of the role file: %s", ended(a.RoleFile))
		c.Mend = open(say("See who may do what"), "/access")
	case len(a.Anonymous) > 0 && powerful():
		c.Verdict, c.Why = Warning, say("Everybody in the network may read and change everything at the broker without a password, at %s. Take that out of the section [access.anonymous] of the configuration.", listeners())
		c.Mend = open(say("See the users"), "/users")
	case len(a.Anyone) > 0:
		c.Verdict, c.Why = Notice, say("Some clients have no login: %s. Whoever is in the network can come as they do.", names(a.Anyone))
		c.Mend = open(say("Make a login"), "/users")
	case a.Refused >= manyRefused:
		from := slices.Sorted(slices.Values(a.From))
		c.Verdict, c.Why = Notice, say("%d logins were refused in the last hour, from %s. A device may have a wrong password, or somebody tries passwords out.", a.Refused, names(from))
		c.Mend = open(say("See who was refused"), "/access")
	case len(a.Anonymous) > 0:
		c.Why = say("Who has no login may do a little, at %s.", listeners())
	default:
		c.Why = say("Nobody comes in without a login.")
	}
	return c
}

func uplink(h House, u Uplink) Check {
	c := Check{ID: "uplink/" + u.Name, Name: say("Broker %s", shorten(u.Name)), After: []string{"network", "clock"}}
	c.Verdict, c.Why = connection(h, u)
	return c
}

// connection judges a connection to another broker.
func connection(h House, u Uplink) (Verdict, Text) {
	switch {
	case !u.Connected && u.Err == "":
		return Unknown, say("It is being connected to %s.", u.URL)
	case !u.Connected && u.Waiting > 0:
		return Bad, say("It is not connected to %s: %s %d messages wait and come later.", u.URL, ended(u.Err), u.Waiting)
	case !u.Connected:
		return Bad, say("It is not connected to %s: %s", u.URL, ended(u.Err))
	case u.Problem != "":
		return Warning, say("It is connected to %s, but not everything goes through: %s", u.URL, ended(u.Problem))
	}
	return OK, say("It is connected to %s for %s.", u.URL, Span(h.Now.Sub(u.Since)))
}

func homeAssistant(h House) Check {
	c := Check{ID: "homeassistant", Name: say("Home Assistant"), After: []string{"network", "broker"}}
	a := h.HomeAssistant
	if a == nil {
		c.Verdict, c.Why = NotThere, say("It is turned off in the configuration.")
		return c
	}
	var online bool
	var last Login
	var refused string
	for _, l := range a.Logins {
		online = online || l.Online
		if l.Used.After(last.Used) {
			last = l
		}
		if l.Refused && !l.Online {
			refused = cmp.Or(refused, l.User)
		}
	}
	c.Mend = see(say("Open Home Assistant"), "/homeassistant")
	switch {
	case a.Bridge != nil:
		c.After = append(c.After, "clock")
		c.Verdict, c.Why = connection(h, *a.Bridge)
	case online && refused == "":
		c.Why = say("It is connected.")
	case refused != "":
		c.Verdict, c.Why = Bad, say("Somebody came as %s with a wrong password and was refused. Home Assistant does not try again by itself: log in there again.", refused)
		c.Mend = open(say("Make a new login"), "/homeassistant")
	case !last.Used.IsZero() && h.Uptime < settling:
		c.Verdict, c.Why = Unknown, say("It is expected back after the start.")
	case !last.Used.IsZero():
		c.Verdict, c.Why = Bad, say("It is not connected. It was here last %s ago: look whether it runs, and whether its MQTT integration asks for a new login.", Span(h.Now.Sub(last.Used)))
	case len(a.Found) > 0:
		c.Verdict, c.Why = Notice, say("%s is in this network and not connected yet.", names(a.Found))
		c.Mend = open(say("Connect Home Assistant"), "/homeassistant")
	default:
		c.Verdict, c.Why = Notice, say("No Home Assistant is connected yet.")
		c.Mend = open(say("Connect Home Assistant"), "/homeassistant")
	}
	return c
}

func documents(h House) Check {
	c := Check{ID: "documents", Name: say("Entities in Home Assistant"), After: []string{"homeassistant"}}
	switch {
	case h.HomeAssistant == nil:
		c.Verdict, c.Why = NotThere, say("It is turned off in the configuration.")
	case len(h.HomeAssistant.Refused) > 0:
		c.Verdict, c.Why = Notice, say("Home Assistant would not take these, so they are left out: %s.", names(h.HomeAssistant.Refused))
	default:
		c.Why = say("Home Assistant is told of all devices.")
	}
	return c
}
