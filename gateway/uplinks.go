package gateway

import (
	"fmt"
	"slices"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/gateway/settings"
	"lintel/gateway/uplink"
	"lintel/persist"
)

// buildUplinks makes the uplinks of the configuration, and ends the sessions of those
// that are in it no more: messages would wait there for ever.
func (g *gateway) buildUplinks() error {
	keep := []string{uplink.SessionID(settings.HomeAssistantUplink)}
	for _, c := range g.config.Uplinks {
		o, err := c.Options(g.box.ID)
		if err != nil {
			return fmt.Errorf("uplink %s: %w", c.Name, err)
		}
		u, err := g.newUplink(o)
		if err != nil {
			return err
		}
		g.uplinks = append(g.uplinks, u)
		keep = append(keep, uplink.SessionID(c.Name))
	}
	for _, id := range g.broker.HouseSessions() {
		if !slices.Contains(keep, id) {
			g.broker.EndSession(id, &broker.Refusal{Code: mqtt.AdministrativeAction})
		}
	}
	return nil
}

func (g *gateway) newUplink(o uplink.Options) (*uplink.Uplink, error) {
	memory, err := persist.NewBucket[string](g.store, "uplink."+o.Name)
	if err != nil {
		return nil, err
	}
	o.Memory, o.Logger = memory, g.log
	return uplink.New(g.broker, o)
}

// uplinkStatus tells how the uplinks are doing.
func (g *gateway) uplinkStatus() []uplink.Status {
	all := []uplink.Status{} // none is an empty list in JSON too
	for _, u := range g.uplinks {
		all = append(all, u.Status())
	}
	if b := g.haBridge.Bridge(); b != nil {
		all = append(all, b.Status)
	}
	return all
}
