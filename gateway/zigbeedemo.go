package gateway

import (
	"context"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/simulator/zigbeehouse"
)

func (g *gateway) simulatedStick() string { return filepath.Join(g.o.Data, "simulated-zigbee") }

// runZigbeeHouse is a Zigbee stick with a house behind it, whose devices are let in.
func (g *gateway) runZigbeeHouse(ctx context.Context) error {
	house, err := zigbeehouse.New(zigbeehouse.Options{Kind: "zigbee-znp", At: g.simulatedStick(),
		Air: air.Options{Drift: 30 * time.Second}, Logger: g.log})
	if err != nil {
		return err
	}
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return house.Run(ctx) })
	both.Go(func() error {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			network := g.zigbee.Bridge().Network()
			if _, _, running := network.Info(); running && network.PermitJoin(ctx, 254*time.Second, nil) == nil {
				return nil
			}
		}
	})
	return both.Wait()
}
