package ezsp_test

import (
	"context"
	"testing"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/simulator/ezspstick"
	"lintel/serialbridge/simulator/znpstick"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/znp"
)

// openZNP opens a stick of Texas Instruments in the same network.
func (h *house) openZNP(stick *znpstick.Stick) (*znp.Coordinator, func()) {
	h.t.Helper()
	host, far := newLine()
	served := make(chan struct{})
	go func() {
		defer close(served)
		stick.Serve(context.Background(), far)
	}()
	c, err := znp.Open(h.t.Context(), host, znp.Options{})
	if err != nil {
		h.t.Fatalf("open: %v", err)
	}
	return c, func() {
		c.Close()
		far.unplug()
		<-served
		stick.Close()
	}
}

// TestOtherFamily: a network goes from a stick with EZSP to one with Z-Stack and back
// to a blank one, and the devices keep believing it, their own link keys included.
func TestOtherFamily(t *testing.T) {
	each(t, func(t *testing.T, version uint8) {
		h := newHouse(t, ezspstick.Options{Version: version})
		ctx := t.Context()
		c, unplug := h.open()
		if err := c.Form(ctx, parameters); err != nil {
			t.Fatal(err)
		}
		const plug, sensor zigbee.IEEEAddress = 0x000d6ffffe000001, 0x00124b0022000001
		h.join(c, air.Device{IEEEAddress: plug, Kind: air.Plug})
		h.join(c, air.Device{IEEEAddress: sensor, Kind: air.Climate})
		first, err := c.Backup(ctx)
		if err != nil {
			t.Fatal(err)
		}
		unplug()
		believed := func(who string) {
			t.Helper()
			for _, device := range []zigbee.IEEEAddress{plug, sensor} {
				if err := h.network.Doubts(device); err != nil {
					t.Errorf("%s does not believe %s: %v", device, who, err)
				}
			}
		}

		z, unplug := h.openZNP(znpstick.New(h.network, znpstick.Options{Product: znpstick.ZStack3x0, IEEEAddress: 0x00124b0099999999}))
		if err := z.Restore(ctx, first); err != nil {
			t.Fatalf("restore onto Z-Stack: %v", err)
		}
		believed("Z-Stack")
		second, err := z.Backup(ctx)
		if err != nil {
			t.Fatal(err)
		}
		unplug()

		c, unplug = h.openStick(ezspstick.New(h.network, ezspstick.Options{Version: version, IEEEAddress: 0x000d6f0055555555}))
		defer unplug()
		if err := c.Restore(ctx, second); err != nil {
			t.Fatalf("restore onto EZSP: %v", err)
		}
		believed("EZSP")
		third, err := c.Backup(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range []*zigbee.Backup{second, third} {
			b.TCLinkKeyHashed, b.TCLinkKeySeed = first.TCLinkKeyHashed, first.TCLinkKeySeed
			b.ChannelMask = first.ChannelMask
		}
		equal(t, second, first)
		equal(t, third, second)
	})
}
