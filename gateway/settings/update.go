package settings

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"time"

	"lintel/gateway/update"
)

// UpdateConfig is how the box gets new versions of itself. Only an appliance does.
type UpdateConfig struct {
	Feed         string         `toml:"feed"`          // address of the release feed; empty: that of the release; "none": none
	Channel      update.Channel `toml:"channel"`       // of the feed
	Keys         []string       `toml:"keys"`          // public keys that are trusted besides those of the release
	Automatic    bool           `toml:"automatic"`     // install what the feed offers by itself
	Hours        update.Daytime `toml:"hours"`         // in which it does that
	TrialMinutes int            `toml:"trial_minutes"` // that a new version has to prove itself
}

// noFeed is what stands in place of the address of a feed where none is to be asked.
const noFeed = "none"

func defaultUpdate() UpdateConfig {
	return UpdateConfig{Channel: update.Stable, Keys: []string{}, Hours: update.Daytime{From: 3 * time.Hour, To: 5 * time.Hour}, TrialMinutes: 10}
}

func (c *UpdateConfig) problems(bad func(key, format string, args ...any)) {
	if u, err := url.Parse(c.Feed); c.Feed != "" && c.Feed != noFeed && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "") {
		bad("update.feed", "%q is no address; right is one such as %q, %q for none, or empty for that of the release", c.Feed, "https://example.com/lintel/", noFeed)
	}
	for i, text := range c.Keys {
		if key, err := base64.StdEncoding.DecodeString(text); err != nil || len(key) != 32 {
			bad(fmt.Sprintf("update.keys[%d]", i), "%q is no ed25519 public key; right are its 32 bytes in base64", text)
		}
	}
	if len(c.Keys) > 8 {
		bad("update.keys", "are %d; right are 8 at most", len(c.Keys))
	}
	if c.Channel != update.Stable && c.Channel != update.Beta {
		bad("update.channel", "%q is no channel; right is %q or %q", c.Channel, update.Stable, update.Beta)
	}
	// Zigbee and slow clients take minutes to come back; and for as long as a version is on
	// trial a power cut takes the box back to the one before.
	least, most := int(update.MinTrial/time.Minute), int(update.MaxTrial/time.Minute)
	if c.TrialMinutes < least || c.TrialMinutes > most {
		bad("update.trial_minutes", "%d is out of range; right is %d to %d", c.TrialMinutes, least, most)
	}
}

// Trial is how long a new version has to prove itself.
func (c *UpdateConfig) Trial() time.Duration { return time.Duration(c.TrialMinutes) * time.Minute }

// FeedOf is the address of the feed that is asked; empty: none is.
func (c *UpdateConfig) FeedOf(r update.Release) string {
	switch c.Feed {
	case "":
		return r.Feed
	case noFeed:
		return ""
	}
	return c.Feed
}
