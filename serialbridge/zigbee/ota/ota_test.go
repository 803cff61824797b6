package ota

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// makeImage makes an image of the given version with n bytes of firmware.
func makeImage(manufacturer, kind uint16, version uint32, n int) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, fileIdentifier)
	b = le.AppendUint16(b, 0x0100)
	b = le.AppendUint16(b, headerSize+4)
	b = le.AppendUint16(b, 4) // hardware versions
	b = le.AppendUint16(b, manufacturer)
	b = le.AppendUint16(b, kind)
	b = le.AppendUint32(b, version)
	b = le.AppendUint16(b, 2)
	b = append(b, "a lamp, for tests"...)
	b = append(b, make([]byte, 32-17)...)
	b = le.AppendUint32(b, uint32(headerSize+4+6+n))
	b = le.AppendUint16(b, 1)
	b = le.AppendUint16(b, 3)
	b = le.AppendUint16(b, 0) // tag of the firmware
	b = le.AppendUint32(b, uint32(n))
	for i := range n {
		b = append(b, byte(i*7))
	}
	return b
}

func TestParseImage(t *testing.T) {
	data := makeImage(0x1234, 7, 99, 1000)
	i, err := ParseImage(append([]byte("what a vendor wraps it in"), append(bytes.Clone(data), "and a signature"...)...))
	if err != nil {
		t.Fatal(err)
	}
	if i.ManufacturerCode != 0x1234 || i.ImageType != 7 || i.FileVersion != 99 || i.Text != "a lamp, for tests" ||
		*i.MinHardware != 1 || *i.MaxHardware != 3 || !bytes.Equal(i.Data, data) {
		t.Errorf("%+v", i.Header)
	}
	for n := range len(data) {
		if _, err := ParseImage(data[:n]); err == nil {
			t.Fatalf("%d bytes of %d were taken", n, len(data))
		}
	}
}

func FuzzImage(f *testing.F) {
	f.Add(makeImage(0x1234, 7, 99, 10))
	f.Fuzz(func(t *testing.T, data []byte) {
		if i, err := ParseImage(data); err == nil && (len(i.Data) > len(data) || len(i.Data) < headerSize) {
			t.Errorf("%d bytes out of %d", len(i.Data), len(data))
		}
	})
}

// lamp is a network with one device, which fetches an image when it is told of one.
type lamp struct {
	t       *testing.T
	u       *Updater
	version uint32
	loses   int  // every so many answers; 0: none
	asleep  bool // does not ask
	stops   int  // asks for nothing any more behind that offset
	refuses bool // the image, at its end
	page    bool // asks for pages

	sequence uint8
	answers  int
	size     uint32
	got      []byte
	ended    bool
}

var lampAddress = zigbee.IEEEAddress(0x0017880100000001)

func (l *lamp) Device(zigbee.IEEEAddress) (zigbee.Device, bool) {
	return zigbee.Device{IEEEAddress: lampAddress, ModelID: "L1", ManufacturerName: "Lamps", Endpoints: []zigbee.Endpoint{{ID: 1, Output: []uint16{6}}, {ID: 11, Output: []uint16{25}}}}, true
}

func (l *lamp) Request(ctx context.Context, ieee zigbee.IEEEAddress, r zigbee.Request) (zcl.Frame, error) {
	if r.Endpoint != 11 || r.Frame.Command != imageNotify || !r.NoResponse {
		l.t.Errorf("request %+v", r)
	}
	if !l.asleep {
		l.query()
	}
	return zcl.Frame{}, nil
}

func (l *lamp) say(command uint8, payload []byte) {
	l.sequence++
	d, _ := l.Device(lampAddress)
	l.u.Handle(d, zigbee.Message{Device: lampAddress, Endpoint: 11, Cluster: cluster,
		Frame: zcl.Frame{Type: zcl.Specific, Sequence: l.sequence, Command: command, Payload: payload}})
}

func (l *lamp) name(version uint32) []byte {
	return binary.LittleEndian.AppendUint32([]byte{0x34, 0x12, 7, 0}, version)
}

func (l *lamp) query() {
	p := append([]byte{1}, l.name(l.version)...)
	l.say(queryNextImageRequest, append(p, 2, 0)) // hardware version 2
}

func (l *lamp) ask() {
	if l.stops > 0 && len(l.got) >= l.stops {
		return
	}
	if len(l.got) == int(l.size) {
		status := byte(zcl.Success)
		if l.refuses {
			status = byte(zcl.InvalidImage)
		}
		l.say(upgradeEndRequest, append([]byte{status}, l.name(99)...))
		return
	}
	p := append([]byte{0}, l.name(99)...)
	p = binary.LittleEndian.AppendUint32(p, uint32(len(l.got)))
	p = append(p, 64)
	if l.page {
		p = binary.LittleEndian.AppendUint16(p, 512)
		l.say(imagePageRequest, binary.LittleEndian.AppendUint16(p, 20))
		return
	}
	l.say(imageBlockRequest, p)
}

func (l *lamp) Respond(ctx context.Context, m zigbee.Message, f zcl.Frame) error {
	l.answers++
	if l.loses > 0 && l.answers%l.loses == 0 {
		time.AfterFunc(5*time.Second, func() {
			if m.Frame.Command == queryNextImageRequest {
				l.query()
			} else {
				l.ask()
			}
		})
		return &zigbee.DeliveryError{Reason: zigbee.NoAck}
	}
	le := binary.LittleEndian
	switch f.Command {
	case queryNextImageResponse:
		if f.Payload[0] == 0 {
			l.size = le.Uint32(f.Payload[9:])
			time.AfterFunc(time.Second, l.ask)
		}
	case imageBlockResponse:
		if f.Payload[0] != 0 || int(f.Payload[13]) != len(f.Payload)-14 || len(f.Payload)-14 > defaultBlock {
			l.t.Errorf("block response % x", f.Payload)
		}
		if int(le.Uint32(f.Payload[9:])) == len(l.got) {
			l.got = append(l.got, f.Payload[14:]...)
		}
		if !l.page || len(l.got)%512 == 0 || len(l.got) == int(l.size) {
			time.AfterFunc(100*time.Millisecond, l.ask)
		}
	case upgradeEndResponse:
		l.ended = true
	}
	return nil
}

// TestUpdate brings an image from a folder to a device.
func TestUpdate(t *testing.T) {
	data := makeImage(0x1234, 7, 99, 20_000)
	for _, test := range []struct {
		name string
		lamp lamp
		err  error // nil: it works; errAny: any
	}{
		{"as it should be", lamp{version: 98}, nil},
		{"in pages", lamp{version: 98, page: true}, nil},
		{"with losses", lamp{version: 98, loses: 9}, nil},
		{"asleep", lamp{version: 98, asleep: true}, ErrSilent},
		{"newer already", lamp{version: 100}, errNoImage},
		{"stops", lamp{version: 98, stops: 5000}, errAny},
		{"refuses", lamp{version: 98, refuses: true}, errAny},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, "lamp.ota"), data, 0o600); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				l := test.lamp
				l.t = t
				l.u = New(Options{Folder: folder})
				l.u.SetNetwork(&l)
				told := 0
				from, to, err := l.u.Update(t.Context(), lampAddress, UpdateOptions{Progress: func(percent float64, remaining time.Duration) {
					told++
					if percent < 0 || percent > 100 || remaining < 0 {
						t.Errorf("progress %v, %v", percent, remaining)
					}
				}})
				if test.err != nil {
					if err == nil || test.err != errAny && !errors.Is(err, test.err) {
						t.Errorf("%v, want %v", err, test.err)
					}
					return
				}
				if err != nil || from.FileVersion != 98 || to.FileVersion != 99 || !l.ended || !bytes.Equal(l.got, data) || told == 0 {
					t.Errorf("%v; from %d, ended %v, %d bytes, progress told %d times", err, from.FileVersion, l.ended, len(l.got), told)
				}
			})
		})
	}
}

var errAny = errors.New("any")

// TestAbort gives an update up, after which another one may begin.
func TestAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lamp{t: t, version: 98, stops: 1000}
		l.u = New(Options{})
		l.u.SetNetwork(l)
		result := make(chan error, 1)
		go func() {
			_, _, err := l.u.Update(t.Context(), lampAddress, UpdateOptions{Data: makeImage(0x1234, 7, 99, 20_000)})
			result <- err
		}()
		time.Sleep(5 * time.Second)
		if _, err := l.u.Check(t.Context(), lampAddress, "", false); !errors.Is(err, ErrBusy) {
			t.Errorf("check while an update runs: %v", err)
		}
		if !l.u.Abort(lampAddress) {
			t.Error("nothing to abort")
		}
		if err := <-result; !errors.Is(err, errAborted) {
			t.Errorf("update: %v", err)
		}
		if l.u.Abort(lampAddress) {
			t.Error("there is something to abort")
		}
	})
}

// TestIndex finds images in an index on a server, and refuses one that was changed.
func TestIndex(t *testing.T) {
	good, old := makeImage(0x1234, 7, 99, 100), makeImage(0x1234, 7, 50, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum := sha512.Sum512(good)
		base := "http://" + r.Host
		number := func(n uint32) *uint32 { return &n }
		switch r.URL.Path {
		case "/index.json":
			json.NewEncoder(w).Encode([]Entry{
				{FileVersion: 99, ManufacturerCode: 0x1234, ImageType: 7, URL: base + "/good", SHA512: hex.EncodeToString(sum[:]), ReleaseNotes: "https://example.org"},
				{FileVersion: 98, ManufacturerCode: 0x1234, ImageType: 7, URL: base + "/none"},
				{FileVersion: 50, ManufacturerCode: 0x1234, ImageType: 7, URL: base + "/old", SHA512: "00"},
				{FileVersion: 200, ManufacturerCode: 0x1234, ImageType: 7, URL: base + "/none", ModelID: "L2"},
				{FileVersion: 201, ManufacturerCode: 0x1234, ImageType: 7, URL: base + "/none", ManufacturerName: []string{"Others"}},
				{FileVersion: 202, ManufacturerCode: 0x1234, ImageType: 7, URL: base + "/none", MinFileVersion: number(97)},
				{FileVersion: 203, ManufacturerCode: 0x1234, ImageType: 8, URL: base + "/none"},
				{FileVersion: 204, ManufacturerCode: 0x1234, ImageType: 7, URL: base + "/good", MinFileVersion: number(150)},
			})
		case "/good":
			w.Write(good)
		case "/old":
			w.Write(old)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	u := New(Options{Index: server.URL + "/index.json"})
	d, _ := (&lamp{}).Device(0)
	q := Query{ManufacturerCode: 0x1234, ImageType: 7, FileVersion: 60}
	e, image, err := u.fetch(t.Context(), d, q, UpdateOptions{})
	if err != nil || e.FileVersion != 99 || !bytes.Equal(image.Data, good) {
		t.Errorf("the newest: %v", err)
	}
	if e, _, err := u.fetch(t.Context(), d, q, UpdateOptions{Downgrade: true}); err == nil || e == nil || e.FileVersion != 50 {
		t.Errorf("an image with the wrong hash: %v", err)
	}
	q.FileVersion = 99
	if _, _, err := u.fetch(t.Context(), d, q, UpdateOptions{}); err == nil {
		t.Error("an image that is not there was installed")
	}
	q.FileVersion = 150
	if e, _, err := u.fetch(t.Context(), d, q, UpdateOptions{}); err == nil || e == nil || e.FileVersion != 204 {
		t.Errorf("an image that is another one than the index says: %v", err)
	}
	q.ImageType = 9
	if _, _, err := u.fetch(t.Context(), d, q, UpdateOptions{}); !errors.Is(err, errNoImage) {
		t.Errorf("a device of which the index knows nothing: %v", err)
	}
	if _, _, err := u.fetch(t.Context(), d, q, UpdateOptions{Data: good}); err == nil {
		t.Error("an image for another device was taken")
	}
	if _, _, err := u.fetch(t.Context(), d, q, UpdateOptions{Source: "/etc/hostname"}); err == nil {
		t.Error("a file of the box was read")
	}
}
