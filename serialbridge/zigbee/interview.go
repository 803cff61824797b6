package zigbee

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

const (
	interviewTimeout = 15 * time.Minute
	// interviewHold is how long a step waits for a device that sleeps. One that has
	// just joined asks its parent every second or so; later it has to be woken by hand.
	interviewHold    = time.Minute
	noHold           = -1 // for what is nice to know
	interviewRetries = 3  // after failures, when the device is heard again or some time has passed
	interviewPause   = 2 * time.Minute
	// tuyaPause is what end devices of Tuya are given after they have joined: asked
	// earlier, they leave (zigbee2mqtt, issue 5814).
	tuyaPause = 10 * time.Second
	iasZoneID = 23
)

// Manufacturer codes.
const (
	manufacturerTuya      = 0x120b // 4619
	manufacturerTuyaSleep = 0x1002 // 4098: may be Tuya, and falls asleep fast
	manufacturerControl4  = 0xabcd
)

// Interview asks a device again what it is, and waits for the end of it.
func (n *Network) Interview(ctx context.Context, ieee IEEEAddress) error {
	if _, err := n.started(); err != nil {
		return err
	}
	n.mu.Lock()
	d := n.nodes[ieee]
	switch {
	case d == nil:
		n.mu.Unlock()
		return ErrNoDevice
	case d.interviewing:
		n.mu.Unlock()
		return errors.New("zigbee: an interview of the device is under way already; wait for its end")
	}
	n.beginInterview(d)
	n.mu.Unlock()
	return n.interview(ctx, d, true)
}

// interviewIfNeeded begins an interview of a device that has not told yet what
// it is. The network is locked.
func (n *Network) interviewIfNeeded(d *node) {
	if d.interviewing || n.session == nil || d.device.Type == GreenPower {
		return
	}
	switch d.device.Interview {
	case Pending:
	case Failed:
		if d.retries >= interviewRetries || !d.retried.IsZero() && time.Since(d.retried) < interviewPause {
			return
		}
		d.retries++
	default:
		return
	}
	n.beginInterview(d)
	n.session.start(func(ctx context.Context) {
		if err := n.interview(ctx, d, false); err != nil {
			n.log.Warn("the interview of a Zigbee device has failed", "device", d.device.IEEEAddress, "err", err)
			if pause(ctx, interviewPause) != nil {
				return
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.nodes[d.device.IEEEAddress] == d {
				n.interviewIfNeeded(d)
			}
		}
	})
}

// beginInterview says that an interview has begun. The network is locked.
func (n *Network) beginInterview(d *node) {
	d.interviewing = true
	d.device.Interview = InProgress
	n.counters.Interviews++
	n.beginProgress(d)
	n.tell(notice{kind: noticeInterviewing, device: n.copyOf(d)})
}

// interview asks a device what it is, and takes note of the result.
func (n *Network) interview(ctx context.Context, d *node, afresh bool) error {
	ctx, cancel := context.WithTimeout(ctx, interviewTimeout)
	defer cancel()
	err := n.ask(ctx, d, afresh)
	n.mu.Lock()
	defer n.mu.Unlock()
	d.interviewing = false
	d.retried = time.Now()
	if n.nodes[d.device.IEEEAddress] != d {
		n.endProgress(d, Failed, ErrNoDevice)
		return ErrNoDevice
	}
	switch {
	case err == nil || d.wellKnown():
		err = nil
		d.device.Interview = Successful
		d.retries = 0
	case errors.Is(err, ErrNoStick) || errors.Is(err, context.Canceled):
		d.device.Interview = Pending // goes on when there is a stick again
	default:
		d.device.Interview = Failed
	}
	n.endProgress(d, d.device.Interview, err)
	n.dirty(d)
	n.tell(notice{kind: noticeInterviewing, device: n.copyOf(d)})
	return err
}

// ask goes through the interview. What is known from an earlier one is not asked again,
// unless that is wanted. Each step is kept, so that the next interview
// goes on where this one has ended.
func (n *Network) ask(ctx context.Context, d *node, afresh bool) error {
	if err := n.step(d, StepNode, 0, func() error { return n.askNode(ctx, d, afresh) }); err != nil {
		return err
	}
	n.mu.Lock()
	device := d.device
	n.mu.Unlock()
	switch {
	case device.ManufacturerCode == manufacturerTuya && device.Type == EndDevice && !afresh:
		if err := pause(ctx, tuyaPause); err != nil {
			return err
		}
	case device.ManufacturerCode == 0 || device.ManufacturerCode == manufacturerTuyaSleep:
		// May be a device that sleeps soon: its name first (zigbee2mqtt, issue 7553).
		_, _ = n.read(ctx, device.IEEEAddress, noHold, 1, clusterBasic, 0, basicModel, basicManufacturer)
	}
	var ids []uint8
	err := n.step(d, StepEndpoints, 0, func() (err error) {
		ids, err = n.askEndpoints(ctx, d)
		return err
	})
	if err != nil {
		return err
	}
	asked := make(map[uint16]bool)
	for _, id := range ids {
		if err := n.askEndpoint(ctx, d, id, afresh, asked); err != nil {
			return err
		}
	}
	n.mu.Lock()
	device = d.device
	n.mu.Unlock()
	if slices.ContainsFunc(device.Endpoints, func(e Endpoint) bool { return slices.Contains(e.Input, clusterPollControl) }) {
		_ = n.step(d, StepPoll, 0, func() error { // nor is this
			n.askPollControl(ctx, d)
			return nil
		})
	}
	return nil
}

// askNode asks for the node descriptor. Most devices miss the first question.
func (n *Network) askNode(ctx context.Context, d *node, afresh bool) error {
	n.mu.Lock()
	known := d.device.Type != Unknown && !afresh
	n.mu.Unlock()
	if known {
		return nil
	}
	var err error
	for range 6 {
		var data []byte
		data, err = n.zdo(ctx, d, interviewHold, zdoNodeDescriptor, ofInterest)
		var desc nodeDescriptor
		if err == nil {
			desc, err = parseNodeDescriptor(data)
		}
		if err == nil {
			return n.change(d.device.IEEEAddress, func(d *node) error {
				switch desc.logicalType {
				case 1:
					d.device.Type = Router
				case 2:
					d.device.Type = EndDevice
				default:
					d.device.Type = Unknown
				}
				d.device.Capability = desc.capability
				d.device.ManufacturerCode = desc.manufacturerCode
				return nil
			})
		}
		n.mu.Lock()
		done := d.wellKnown()
		n.mu.Unlock()
		if done || errors.Is(err, ErrNoDevice) || errors.Is(err, ErrNoStick) || ctx.Err() != nil {
			break
		}
		n.awaitWord(ctx, d)
	}
	return fmt.Errorf("zigbee: the device has not told what it is: %w", err)
}

// awaitWord waits until a device is heard, for a few seconds at most.
func (n *Network) awaitWord(ctx context.Context, d *node) {
	n.mu.Lock()
	heard := d.heard
	n.mu.Unlock()
	timer := time.NewTimer(5 * time.Second)
	defer timer.Stop()
	select {
	case <-heard:
	case <-timer.C:
	case <-ctx.Done():
	}
}

func pause(ctx context.Context, t time.Duration) error {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// askEndpoints asks for the list of endpoints: twice, as devices of Aqara miss the
// first question (zigbee-herdsman, pull request 103).
func (n *Network) askEndpoints(ctx context.Context, d *node) (ids []uint8, err error) {
	for range 2 {
		var data []byte
		data, err = n.zdo(ctx, d, interviewHold, zdoActiveEndpoints, ofInterest)
		if err == nil {
			ids, err = parseActiveEndpoints(data)
		}
		if err == nil {
			break
		}
		n.awaitWord(ctx, d)
	}
	if err != nil {
		return nil, fmt.Errorf("zigbee: the device has not told its endpoints: %w", err)
	}
	// Some list endpoint 0, which is the Zigbee Device Object (zigbee-herdsman,
	// issue 82).
	ids = slices.DeleteFunc(ids, func(id uint8) bool { return id == EndpointZDO })
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return ids, n.change(d.device.IEEEAddress, func(d *node) error {
		d.device.Endpoints = slices.DeleteFunc(slices.Clone(d.device.Endpoints), func(e Endpoint) bool { return !slices.Contains(ids, e.ID) })
		for _, id := range ids {
			d.addEndpoint(id)
		}
		return nil
	})
}

// askEndpoint asks for the simple descriptor of an endpoint and what follows from it.
func (n *Network) askEndpoint(ctx context.Context, d *node, id uint8, afresh bool, asked map[uint16]bool) error {
	var desc Endpoint
	err := n.step(d, StepEndpoint, id, func() error {
		data, err := n.zdo(ctx, d, interviewHold, zdoSimpleDescriptor, func(a NetworkAddress) []byte { return append(ofInterest(a), id) })
		if err == nil {
			desc, err = parseSimpleDescriptor(data)
		}
		if err != nil {
			return fmt.Errorf("zigbee: the device has not described its endpoint %d: %w", id, err)
		}
		return n.change(d.device.IEEEAddress, func(d *node) error {
			e := d.edit(id)
			if e == nil {
				return noEndpoint(id)
			}
			e.Profile, e.DeviceID, e.Input, e.Output = desc.Profile, desc.DeviceID, desc.Input, desc.Output
			return nil
		})
	})
	if err != nil {
		return err
	}
	if slices.Contains(desc.Input, clusterBasic) {
		_ = n.step(d, StepBasic, id, func() error { // what a device does not say of itself is no failure
			n.askBasic(ctx, d, id, afresh, asked)
			return nil
		})
	}
	if slices.Contains(desc.Input, clusterIASZone) {
		return n.step(d, StepEnrol, id, func() error { return n.enrol(ctx, d, id) })
	}
	return nil
}

// askBasic reads what a device says of itself, one by one: many devices refuse the
// whole request for one attribute that they do not have. None of it is mandatory.
func (n *Network) askBasic(ctx context.Context, d *node, id uint8, afresh bool, asked map[uint16]bool) {
	ieee := d.device.IEEEAddress
	for _, attribute := range basicAttributes {
		n.mu.Lock()
		missing := d.lacksBasic(attribute)
		n.mu.Unlock()
		if asked[attribute] || !missing && !afresh {
			continue
		}
		hold := time.Duration(noHold)
		if attribute == basicModel || attribute == basicManufacturer {
			hold = interviewHold // these decide what the device is
		}
		read, err := n.read(ctx, ieee, hold, id, clusterBasic, 0, attribute)
		if err != nil && hold > 0 {
			if _, refused := errors.AsType[*StatusError](err); !refused && pause(ctx, tuyaPause) == nil {
				read, err = n.read(ctx, ieee, hold, id, clusterBasic, 0, attribute)
			}
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil && len(read) > 0 && read[0].Status == zcl.Success {
			asked[attribute] = true
		}
		n.mu.Lock()
		tuya := attribute == basicManufacturer && asked[attribute] && strings.HasPrefix(d.device.ManufacturerName, "_TZ")
		n.mu.Unlock()
		if tuya {
			// Tuya's gateways begin with this read, and some devices wait for it before
			// they work as they should.
			_, _ = n.read(ctx, ieee, noHold, id, clusterBasic, 0, basicManufacturer, 0x0000, 0x0001, basicModel, 0x0007, 0xfffe)
		}
	}
}

// askPollControl has a device that sleeps check in, so that it can be told things.
func (n *Network) askPollControl(ctx context.Context, d *node) {
	n.mu.Lock()
	device, coordinator := d.device, n.info.IEEEAddress
	n.mu.Unlock()
	for i := range device.Endpoints {
		e := &device.Endpoints[i]
		if !slices.Contains(e.Input, clusterPollControl) {
			continue
		}
		if err := n.Bind(ctx, device.IEEEAddress, e.ID, Binding{Cluster: clusterPollControl, Device: coordinator, Endpoint: EndpointHome}); err != nil {
			return
		}
		read, err := n.read(ctx, device.IEEEAddress, noHold, e.ID, clusterPollControl, 0, 0x0000)
		if err != nil {
			return
		}
		for _, a := range read {
			quarters, ok := a.Value.(uint64)
			if !ok || quarters > 4*86400 {
				continue
			}
			_ = n.change(device.IEEEAddress, func(d *node) error {
				d.device.CheckInInterval = time.Duration(quarters) * time.Second / 4
				return nil
			})
		}
	}
}
