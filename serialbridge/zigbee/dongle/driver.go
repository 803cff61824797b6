package dongle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"lintel/hardware"
	"lintel/serialbridge"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/ezsp"
	"lintel/serialbridge/zigbee/znp"
)

// Protocol is the name of the driver.
const Protocol = "zigbee"

// Options are the settings of a port with a Zigbee stick.
type Options struct {
	Radio string `toml:"radio"` // znp (Texas Instruments) or ezsp (Silicon Labs); empty: find out
	Baud  int    `toml:"baud"`  // 0: what is usual for the stick
	Flow  string `toml:"flow"`  // none, rtscts or xonxoff; empty: what is usual for the stick
}

// Check says what is wrong with the options.
func (o Options) Check() error {
	if !slices.Contains([]string{"", radioZNP, radioEZSP}, o.Radio) {
		return fmt.Errorf("radio %q: right is znp, ezsp, or nothing to find out", o.Radio)
	}
	if o.Baud != 0 && (o.Baud < 9600 || o.Baud > 2_000_000) {
		return fmt.Errorf("baud %d: right is 9600 to 2000000, or 0 for what is usual", o.Baud)
	}
	if !slices.Contains([]string{"", "none", "rtscts", "xonxoff"}, o.Flow) {
		return fmt.Errorf("flow %q: right is none, rtscts, xonxoff, or nothing for what is usual", o.Flow)
	}
	return nil
}

// Network is what a stick is for. It is a *zigbee.Network.
type Network interface {
	Serve(ctx context.Context, c zigbee.Coordinator) error
}

// Driver returns the driver of Zigbee coordinators. A nil network is for those who only
// want to know what there is.
func Driver(network Network, o Options, log *slog.Logger) serialbridge.Driver {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return serialbridge.Driver{
		Protocol: Protocol,
		Match: func(p hardware.SerialPort) serialbridge.Confidence {
			if Radio(p) != "" {
				return serialbridge.Sure
			}
			return serialbridge.No
		},
		Lines: []serialbridge.Line{attempts[0].line},
		Run: func(ctx context.Context, port serialbridge.Port, sink serialbridge.Sink, _ <-chan serialbridge.Command) error {
			if network == nil {
				return errors.New("the Zigbee network is switched off: set zigbee.enabled = true in the configuration")
			}
			return (&stick{network: network, o: o, log: log}).run(ctx, port, sink)
		},
	}
}

// Foreign returns the drivers that tell what to do with Zigbee sticks that Lintel does
// not speak with.
func Foreign() []serialbridge.Driver {
	var drivers []serialbridge.Driver
	for _, kind := range []string{foreignDeCONZ, foreignZiGate, foreignZBOSS} {
		drivers = append(drivers, serialbridge.Driver{
			Protocol: strings.ToLower(kind),
			Match: func(p hardware.SerialPort) serialbridge.Confidence {
				if known, ok := find(p); ok && known.radio == kind {
					return serialbridge.Sure
				}
				return serialbridge.No
			},
			Advice: "this is a Zigbee stick that speaks " + kind + ", which Lintel does not: use a stick with a chip of Texas Instruments (CC2652) " +
				"or Silicon Labs (EFR32), or lend this one to another program (protocol \"lend\")",
		})
	}
	return drivers
}

// attemptTime bounds one attempt to open a stick.
const attemptTime = 20 * time.Second

// stick is a coordinator from its opening to its end.
type stick struct {
	network Network
	o       Options
	log     *slog.Logger
	worked  *setting // when it was opened last
}

// settings are those to try on a port.
func (s *stick) settings(port serialbridge.Port) []setting {
	tried := attempts
	if usb, ok := port.(interface{ USB() hardware.SerialPort }); ok {
		if known, ok := find(usb.USB()); ok && known.line.Baud != 0 {
			tried = []setting{known}
			// The same stick is sold with either firmware: what USB tells is tried first.
			for _, a := range attempts {
				if a != known {
					tried = append(tried, a)
				}
			}
		}
	}
	var chosen []setting
	for _, a := range tried {
		if s.o.Radio != "" && a.radio != s.o.Radio {
			continue
		}
		if s.o.Baud != 0 {
			a.line.Baud = s.o.Baud
		}
		if s.o.Flow != "" {
			a.line.Flow = serialbridge.Flow(strings.TrimSuffix(s.o.Flow, "none"))
		}
		if !slices.Contains(chosen, a) {
			chosen = append(chosen, a)
		}
	}
	return chosen
}

// open finds out what the stick speaks, and opens it. What has worked is tried first.
func (s *stick) open(ctx context.Context, port serialbridge.Port, split *splitter) (zigbee.Coordinator, error) {
	var why refusal
	settings := s.settings(port)
	if s.worked != nil {
		settings = append([]setting{*s.worked}, settings...)
	}
	for _, a := range settings {
		if err := port.SetLine(a.line); err != nil {
			return nil, err
		}
		c, err := s.attempt(ctx, split.open(), a)
		switch {
		case err == nil:
			info := c.Info()
			s.log.Info("zigbee stick opened", "radio", a.radio, "line", a.line.String(), "type", info.Type, "revision", info.Revision)
			s.worked = &a
			return c, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, serialbridge.ErrUnplugged), errors.Is(err, znp.ErrUnsupported):
			return nil, err
		}
		s.log.Debug("zigbee stick not opened", "radio", a.radio, "line", a.line.String(), "err", err)
		why.add(err)
	}
	return nil, why.err()
}

func (s *stick) attempt(ctx context.Context, port *view, a setting) (zigbee.Coordinator, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	var c zigbee.Coordinator
	var err error
	if a.radio == radioZNP {
		// A nil pointer in an interface would not be nil.
		if z, zerr := znp.Open(ctx, port, znp.Options{Logger: s.log}); zerr == nil {
			c = z
		} else {
			err = zerr
		}
	} else if e, eerr := ezsp.Open(ctx, port, ezsp.Options{Logger: s.log}); eerr == nil {
		c = e
	} else {
		err = ezspError{eerr}
	}
	if err != nil {
		port.Close()
	}
	return c, err
}

// run opens the stick and serves the network with it until one of them ends. The stick is
// opened again at once if the network wants that.
func (s *stick) run(ctx context.Context, port serialbridge.Port, sink serialbridge.Sink) error {
	split := newSplitter(port)
	for {
		if err := s.serve(ctx, port, split, sink); !errors.Is(err, zigbee.ErrReopen) {
			return err
		}
	}
}

func (s *stick) serve(ctx context.Context, port serialbridge.Port, split *splitter, sink serialbridge.Sink) error {
	opened, err := s.open(ctx, port, split)
	if err != nil {
		return err
	}
	defer opened.Close()
	c := &counting{Coordinator: opened}
	id := deviceOf(c.Info()).ID
	sink.Device(deviceOf(c.Info()))
	tell := func() {
		sink.Reading(serialbridge.Reading{Device: id, Time: time.Now(), Values: map[string]any{"events": c.heard.Load()}})
	}
	tell()
	served := make(chan error, 1)
	go func() { served <- s.network.Serve(ctx, c) }()
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for {
		select {
		case err := <-served:
			return err
		case <-minute.C:
			tell()
		}
	}
}

// counting counts the events of a coordinator.
type counting struct {
	zigbee.Coordinator
	heard atomic.Int64
}

// Events implements [zigbee.Coordinator].
func (c *counting) Events(f func(zigbee.Event)) {
	c.Coordinator.Events(func(e zigbee.Event) {
		c.heard.Add(1)
		f(e)
	})
}

// deviceOf is the stick as a device of the house.
func deviceOf(info zigbee.Info) serialbridge.Device {
	return serialbridge.Device{
		ID:        "zigbee_" + strings.TrimPrefix(info.IEEEAddress.String(), "0x"),
		Name:      "Zigbee stick",
		Model:     info.Type,
		SWVersion: info.Revision,
		Properties: []serialbridge.Property{
			{Key: "events", Name: "Messages heard", Kind: serialbridge.Measurement, StateClass: "total_increasing",
				Category: serialbridge.Diagnostic, Precision: 0},
		},
	}
}
