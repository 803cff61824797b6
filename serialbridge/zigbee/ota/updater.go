package ota

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

const cluster = 0x0019

// Commands of the OTA Upgrade cluster (table 11-9).
const (
	imageNotify            = 0x00
	queryNextImageRequest  = 0x01
	queryNextImageResponse = 0x02
	imageBlockRequest      = 0x03
	imagePageRequest       = 0x04
	imageBlockResponse     = 0x05
	upgradeEndRequest      = 0x06
	upgradeEndResponse     = 0x07
)

// What devices get if nobody says otherwise.
const (
	queryTime    = time.Minute       // for a device that was told of an image to ask for it
	blockTime    = 150 * time.Second // between two blocks
	defaultBlock = 50                // bytes of a block: what fits into one frame for every device
)

// Network is what an Updater needs of the network; it is a *zigbee.Network.
type Network interface {
	Device(zigbee.IEEEAddress) (zigbee.Device, bool)
	Request(ctx context.Context, ieee zigbee.IEEEAddress, r zigbee.Request) (zcl.Frame, error)
	Respond(ctx context.Context, m zigbee.Message, f zcl.Frame) error
}

// Options are the options of New.
type Options struct {
	Index  string       // URL or file; empty: none
	Folder string       // with images; empty: none
	Client *http.Client // nil: one that gives up after a minute
	// Asked is told when a device asks for an image by itself. It must not block; nil: nobody
	// is told.
	Asked func(zigbee.IEEEAddress, Query)
}

// Updater updates devices.
type Updater struct {
	o       Options
	library *library

	mu      sync.Mutex
	network Network
	waiting map[zigbee.IEEEAddress]chan zigbee.Message
	aborts  map[zigbee.IEEEAddress]context.CancelCauseFunc
}

// New returns an updater. It needs a network, see SetNetwork.
func New(o Options) *Updater {
	if o.Client == nil {
		o.Client = &http.Client{Timeout: time.Minute}
	}
	return &Updater{
		o: o, library: &library{index: o.Index, folder: o.Folder, client: o.Client},
		waiting: make(map[zigbee.IEEEAddress]chan zigbee.Message), aborts: make(map[zigbee.IEEEAddress]context.CancelCauseFunc),
	}
}

// SetNetwork sets the network, which is made after the updater: it asks the updater for answers.
func (u *Updater) SetNetwork(n Network) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.network = n
}

func (u *Updater) current() Network {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.network
}

// Errors of Check and Update.
var (
	errNoDevice = errors.New("ota: there is no such device")

	ErrBusy    = errors.New("ota: an update or a check of this device is under way already")
	errNoImage = errors.New("ota: no image is known for this device")
	errAborted = errors.New("ota: the update was given up")
	ErrSilent  = errors.New("ota: the device does not ask for an image: wake it up, or try again later")
)

// Handle takes a command of the cluster from a device, and says whether it will be
// answered. It does not block.
func (u *Updater) Handle(d zigbee.Device, m zigbee.Message) bool {
	if m.Cluster != cluster || m.Frame.Type != zcl.Specific || m.Frame.ServerToClient {
		return false
	}
	u.mu.Lock()
	c := u.waiting[d.IEEEAddress]
	u.mu.Unlock()
	if c != nil {
		select {
		case c <- m:
		default: // it asks again
		}
		return true
	}
	if q, err := parseQuery(m.Frame); err == nil && u.o.Asked != nil {
		u.o.Asked(d.IEEEAddress, q)
	}
	return false
}

// parseQuery reads a Query Next Image Request (section 11.13.4).
func parseQuery(f zcl.Frame) (Query, error) {
	p := f.Payload
	if f.Command != queryNextImageRequest || len(p) < 9 {
		return Query{}, zcl.ErrShort
	}
	q := Query{
		ManufacturerCode: binary.LittleEndian.Uint16(p[1:]),
		ImageType:        binary.LittleEndian.Uint16(p[3:]),
		FileVersion:      binary.LittleEndian.Uint32(p[5:]),
	}
	if p[0]&1 != 0 && len(p) >= 11 {
		v := binary.LittleEndian.Uint16(p[9:])
		q.HardwareVersion = &v
	}
	return q, nil
}

// begin makes the caller the one who has to do with the device.
func (u *Updater) begin(ctx context.Context, ieee zigbee.IEEEAddress) (context.Context, chan zigbee.Message, func(), error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.waiting[ieee] != nil {
		return nil, nil, nil, ErrBusy
	}
	ctx, cancel := context.WithCancelCause(ctx)
	c := make(chan zigbee.Message, 8)
	u.waiting[ieee], u.aborts[ieee] = c, cancel
	return ctx, c, func() {
		cancel(nil)
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.waiting, ieee)
		delete(u.aborts, ieee)
	}, nil
}

// Abort ends the update of a device that is under way, and says whether there was one.
func (u *Updater) Abort(ieee zigbee.IEEEAddress) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	cancel := u.aborts[ieee]
	if cancel == nil {
		return false
	}
	cancel(errAborted)
	return true
}

// Available is what a check has found.
type Available struct {
	Query  Query
	Entry  *Entry // nil: nothing
	Device zigbee.Device
}

// Check asks a device what it has, and looks whether there is something newer, or with
// downgrade older. The image at source, if that is not empty, is taken for the one to
// install whatever its version.
func (u *Updater) Check(ctx context.Context, ieee zigbee.IEEEAddress, source string, downgrade bool) (Available, error) {
	ctx, c, end, err := u.begin(ctx, ieee)
	if err != nil {
		return Available{}, err
	}
	defer end()
	d, ok := u.current().Device(ieee)
	if !ok {
		return Available{}, errNoDevice
	}
	m, q, err := u.query(ctx, d, c)
	if err != nil {
		return Available{}, err
	}
	if err := u.respond(ctx, m, queryNextImageResponse, []byte{byte(zcl.NoImageAvailable)}); err != nil {
		return Available{}, err
	}
	e, err := u.choose(ctx, d, q, source, downgrade)
	return Available{Query: q, Entry: e, Device: d}, err
}

// choose returns the image to install, or nil.
func (u *Updater) choose(ctx context.Context, d zigbee.Device, q Query, source string, downgrade bool) (*Entry, error) {
	if source == "" {
		return u.library.find(ctx, d, q, downgrade)
	}
	data, err := u.library.read(ctx, source, maxImage+headerSize)
	if err != nil {
		return nil, fmt.Errorf("ota: fetch the image: %w", err)
	}
	return entryOf(source, data)
}

// entryOf is an image that the user has chosen.
func entryOf(name string, data []byte) (*Entry, error) {
	i, err := ParseImage(data)
	if err != nil {
		return nil, err
	}
	return &Entry{FileName: name, URL: name, FileVersion: i.FileVersion, ImageType: i.ImageType, ManufacturerCode: i.ManufacturerCode, data: i.Data}, nil
}

// query tells a device that there may be an image, and waits until it asks.
func (u *Updater) query(ctx context.Context, d zigbee.Device, c chan zigbee.Message) (zigbee.Message, Query, error) {
	endpoint := uint8(0)
	for _, e := range d.Endpoints {
		for _, id := range e.Output {
			if id == cluster && endpoint == 0 {
				endpoint = e.ID
			}
		}
	}
	if endpoint == 0 {
		return zigbee.Message{}, Query{}, errors.New("ota: the device cannot be updated: it has no OTA Upgrade cluster")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, queryTime, ErrSilent)
	defer cancel()
	// Payload type 0: the jitter alone, at which every device asks (section 11.13.3).
	_, err := u.current().Request(ctx, d.IEEEAddress, zigbee.Request{
		Endpoint: endpoint, Cluster: cluster, NoResponse: true,
		Frame: zcl.Frame{Type: zcl.Specific, ServerToClient: true, Command: imageNotify, Payload: []byte{0, 100}},
	})
	if err != nil {
		return zigbee.Message{}, Query{}, err
	}
	for {
		select {
		case <-ctx.Done():
			return zigbee.Message{}, Query{}, context.Cause(ctx)
		case m := <-c:
			if q, err := parseQuery(m.Frame); err == nil {
				return m, q, nil
			}
		}
	}
}

func (u *Updater) respond(ctx context.Context, m zigbee.Message, command uint8, payload []byte) error {
	return u.current().Respond(ctx, m, zcl.Frame{Type: zcl.Specific, ServerToClient: true, DisableDefaultResponse: true, Command: command, Payload: payload})
}

// Look looks for an image for a device that has just said what it runs. It does not ask
// the device anything.
func (u *Updater) Look(ctx context.Context, ieee zigbee.IEEEAddress, q Query) (Available, error) {
	d, ok := u.current().Device(ieee)
	if !ok {
		return Available{}, errNoDevice
	}
	e, err := u.library.find(ctx, d, q, false)
	return Available{Query: q, Entry: e, Device: d}, err
}
