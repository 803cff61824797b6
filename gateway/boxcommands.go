package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/homeassistant"
	"lintel/gateway/mqtt"
	"lintel/hardware"
)

const (
	// restartLeast is how long the house runs at least before it is restarted: whoever
	// presses a button again and again must not keep it from its work.
	restartLeast = time.Minute
	backupLeast  = time.Minute // between two backups that are asked for: each is written to the card

	identifyTime   = 15 * time.Second
	permitJoinTime = 240 * time.Second // what the page gives, too
	permitJoinStep = 10 * time.Second  // in which the time left is told
	permitPatience = 30 * time.Second  // that the Zigbee stick may take
)

// newBoxCommands returns what does as the box is told in Home Assistant.
func (g *gateway) newBoxCommands(client *broker.Client) *homeassistant.BoxCommands {
	started, least := time.Now(), cmp.Or(g.o.restartLeast, restartLeast)
	var backedUp time.Time // when somebody asked for it last
	return homeassistant.NewBoxCommands(homeassistant.BoxCommandsOptions{
		Broker: client, BaseTopic: g.config.Serial.BaseTopic, Box: g.boxNow, Changed: func() { g.boxState.Changed() }, Logger: g.log,
		Do: map[string]func(context.Context, bool) error{
			homeassistant.RestartKey: func(context.Context, bool) error {
				if left := least - time.Since(started); left > 0 {
					return fmt.Errorf("the box was started just now, ask again in %v", left.Round(time.Second)+time.Second)
				}
				g.log.Info("restart, as asked")
				g.restart()
				return nil
			},
			homeassistant.BackupKey: func(ctx context.Context, _ bool) error {
				if left := backupLeast - time.Since(backedUp); left > 0 {
					return fmt.Errorf("there was one just now, ask again in %v", left.Round(time.Second)+time.Second)
				}
				backedUp = time.Now()
				if err := g.store.BackUpNow(ctx); err != nil {
					return err
				}
				g.vitals.lookAtBackups()
				return nil
			},
			homeassistant.IdentifyKey: func(ctx context.Context, _ bool) error {
				led, ok := hardware.FindLED(g.o.Root)
				if !ok {
					return errors.New("this box has no light that it could make blink")
				}
				return led.Blink(ctx, identifyTime)
			},
			homeassistant.PermitJoinKey: func(ctx context.Context, open bool) error {
				if g.zigbee == nil {
					return errors.New("this box has no Zigbee network")
				}
				ctx, cancel := context.WithTimeout(ctx, permitPatience)
				defer cancel()
				duration := permitJoinTime
				if !open {
					duration = 0
				}
				return g.zigbee.Permit(ctx, duration)
			},
		}})
}

// runBoxCommands does what is asked until ctx ends.
func (g *gateway) runBoxCommands(ctx context.Context) error {
	if g.zigbee != nil {
		info := g.config.Zigbee.BaseTopic + "/bridge/info"
		if err := g.boxClient.Subscribe(ctx, info, 0, g.lookAtZigbee); err != nil {
			return fmt.Errorf("subscribe to %s: %w", info, err)
		}
	}
	return g.commands.Run(ctx)
}

// lookAtZigbee is called when the Zigbee bridge tells of itself: the network has come up,
// was opened or closed. What it says is not taken from there, since others may publish on
// that topic too.
func (g *gateway) lookAtZigbee(mqtt.Message) {
	_, _, running := g.zigbee.Bridge().Network().Info()
	if running && !g.hasZigbee.Swap(true) && g.publisher != nil {
		g.publisher.Device(homeassistant.BoxDevice(g.boxNow()))
	}
	g.zigbee.tellOfBridge()
	g.boxState.Changed()
}

// tellPermitJoin adds to the state of the box how long devices may join.
func (g *gateway) tellPermitJoin(values map[string]any) {
	if g.zigbee == nil {
		return
	}
	left := time.Until(g.zigbee.Bridge().Network().PermitJoinEnd())
	values[homeassistant.PermitJoinKey] = left > 0
	// The end of the step that it is in.
	values[homeassistant.PermitJoinSeconds] = max(0, int((left+permitJoinStep-1)/permitJoinStep)*int(permitJoinStep/time.Second))
}
