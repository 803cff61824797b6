package ota

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// UpdateOptions are the options of Update; zero values are the usual ones.
type UpdateOptions struct {
	Source    string // URL of the image to install whatever its version; empty: what the index has
	Data      []byte // the image itself, in place of Source
	Downgrade bool
	BlockTime time.Duration // that a device may let pass between two blocks
	Delay     time.Duration // between two blocks, for devices that cannot follow
	BlockSize int           // bytes
	// Query is what the device has asked by itself, with the message; nil: it is told to ask.
	Query *zigbee.Message
	// Progress is told now and then how much is done (0 to 100) and how long it will
	// take; nil: nobody is.
	Progress func(percent float64, remaining time.Duration)
}

// Update brings an image to a device, and returns what it had and what it has when it
// has said that all is there: it then restarts.
func (u *Updater) Update(ctx context.Context, ieee zigbee.IEEEAddress, o UpdateOptions) (from Query, to *Entry, err error) {
	ctx, c, end, err := u.begin(ctx, ieee)
	if err != nil {
		return Query{}, nil, err
	}
	defer end()
	if o.BlockTime <= 0 {
		o.BlockTime = blockTime
	}
	if o.BlockSize <= 0 {
		o.BlockSize = defaultBlock
	}
	d, ok := u.current().Device(ieee)
	if !ok {
		return Query{}, nil, errNoDevice
	}
	var m zigbee.Message
	if o.Query != nil {
		m = *o.Query
		from, err = parseQuery(m.Frame)
	} else {
		m, from, err = u.query(ctx, d, c)
	}
	if err != nil {
		return from, nil, err
	}
	to, image, err := u.fetch(ctx, d, from, o)
	if err != nil {
		// The device waits for an answer; what became of it changes nothing.
		_ = u.respond(ctx, m, queryNextImageResponse, []byte{byte(zcl.NoImageAvailable)})
		return from, nil, err
	}
	t := &transfer{u: u, o: o, image: image, messages: c}
	if err := u.respond(ctx, m, queryNextImageResponse, t.next()); err != nil {
		return from, nil, err
	}
	return from, to, t.run(ctx)
}

// fetch finds the image and makes sure that it is for the device.
func (u *Updater) fetch(ctx context.Context, d zigbee.Device, q Query, o UpdateOptions) (*Entry, *Image, error) {
	var e *Entry
	var err error
	if o.Data != nil {
		e, err = entryOf("", o.Data)
	} else {
		e, err = u.choose(ctx, d, q, o.Source, o.Downgrade)
	}
	if err != nil {
		return nil, nil, err
	}
	if e == nil {
		return nil, nil, errNoImage
	}
	if e.ManufacturerCode != q.ManufacturerCode || e.ImageType != q.ImageType {
		return nil, nil, fmt.Errorf("ota: the image is for other devices (manufacturer 0x%04x, type 0x%04x) than this one (0x%04x, 0x%04x)",
			e.ManufacturerCode, e.ImageType, q.ManufacturerCode, q.ImageType)
	}
	image, err := u.library.image(ctx, e)
	return e, image, err
}

// transfer is an image on its way to a device.
type transfer struct {
	u        *Updater
	o        UpdateOptions
	image    *Image
	messages chan zigbee.Message

	started  time.Time
	told     time.Time // when Progress was told last
	lastSent time.Time
}

// next is the answer that there is an image.
func (t *transfer) next() []byte {
	p := append([]byte{byte(zcl.Success)}, t.name()...)
	return binary.LittleEndian.AppendUint32(p, uint32(len(t.image.Data)))
}

// name is the image, as all responses say which one is meant.
func (t *transfer) name() []byte {
	p := binary.LittleEndian.AppendUint16(nil, t.image.ManufacturerCode)
	p = binary.LittleEndian.AppendUint16(p, t.image.ImageType)
	return binary.LittleEndian.AppendUint32(p, t.image.FileVersion)
}

// run answers the device until it says that it has all, or that it gives up.
func (t *transfer) run(ctx context.Context) error {
	t.started = time.Now()
	timer := time.NewTimer(t.o.BlockTime)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			return fmt.Errorf("ota: the device has asked for nothing for %v: try again, nearer to a router", t.o.BlockTime)
		case m := <-t.messages:
			timer.Reset(t.o.BlockTime)
			done, err := t.answer(ctx, m)
			if done || err != nil {
				return err
			}
		}
	}
}

// answer answers one message, and says whether the update is over.
func (t *transfer) answer(ctx context.Context, m zigbee.Message) (done bool, err error) {
	p := m.Frame.Payload
	switch m.Frame.Command {
	case queryNextImageRequest: // our answer was lost
		return false, t.u.respond(ctx, m, queryNextImageResponse, t.next())
	case imageBlockRequest:
		if len(p) < 14 {
			return false, nil
		}
		return false, t.block(ctx, m, binary.LittleEndian.Uint32(p[9:]), int(p[13]))
	case imagePageRequest:
		return false, t.page(ctx, m)
	case upgradeEndRequest:
		if len(p) < 1 {
			return false, nil
		}
		if status := zcl.Status(p[0]); status != zcl.Success {
			return true, fmt.Errorf("ota: the device has refused the image: %v", status)
		}
		// Current time 0 and upgrade time 1: in a second (section 11.13.9.2.4).
		answer := binary.LittleEndian.AppendUint32(t.name(), 0)
		answer = binary.LittleEndian.AppendUint32(answer, 1)
		return true, t.u.respond(ctx, m, upgradeEndResponse, answer)
	}
	return false, nil
}

// block sends a piece of the image.
func (t *transfer) block(ctx context.Context, m zigbee.Message, offset uint32, most int) error {
	if int64(offset) >= int64(len(t.image.Data)) {
		return t.u.respond(ctx, m, imageBlockResponse, []byte{byte(zcl.MalformedCommand)})
	}
	if wait := time.Until(t.lastSent.Add(t.o.Delay)); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
	n := min(most, t.o.BlockSize, len(t.image.Data)-int(offset))
	answer := append([]byte{byte(zcl.Success)}, t.name()...)
	answer = binary.LittleEndian.AppendUint32(answer, offset)
	answer = append(answer, byte(n))
	answer = append(answer, t.image.Data[offset:int(offset)+n]...)
	t.lastSent = time.Now()
	t.tell(int(offset) + n)
	// One that is lost is asked for again.
	if err := t.u.respond(ctx, m, imageBlockResponse, answer); err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// page sends many blocks without being asked for each (section 11.13.7).
func (t *transfer) page(ctx context.Context, m zigbee.Message) error {
	p := m.Frame.Payload
	if len(p) < 18 {
		return nil
	}
	offset, most := binary.LittleEndian.Uint32(p[9:]), int(p[13])
	end := int64(offset) + int64(binary.LittleEndian.Uint16(p[14:]))
	spacing := max(time.Duration(binary.LittleEndian.Uint16(p[16:]))*time.Millisecond, t.o.Delay)
	if most == 0 {
		return nil
	}
	for at := int64(offset); at < min(end, int64(len(t.image.Data))); at += int64(min(most, t.o.BlockSize)) {
		if err := t.block(ctx, m, uint32(at), min(most, int(end-at))); err != nil {
			return err
		}
		timer := time.NewTimer(spacing)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
	return nil
}

// tellEvery is how often Progress is told.
const tellEvery = 30 * time.Second

func (t *transfer) tell(sent int) {
	now := time.Now()
	if t.o.Progress == nil || now.Sub(t.told) < tellEvery && !t.told.IsZero() {
		return
	}
	t.told = now
	share := float64(sent) / float64(len(t.image.Data))
	t.o.Progress(share*100, time.Duration(float64(now.Sub(t.started))*(1-share)/share).Round(time.Second))
}
