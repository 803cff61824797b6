package dongle

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lintel/hardware"
	"lintel/serialbridge"
	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/simulator/ezspstick"
	"lintel/serialbridge/simulator/znpstick"
	"lintel/serialbridge/zigbee"
)

// network is what the stick is for.
type network struct {
	serve func(context.Context, zigbee.Coordinator) error
}

func (n *network) Serve(ctx context.Context, c zigbee.Coordinator) error { return n.serve(ctx, c) }

// sink keeps the devices and readings of the stick.
type sink struct {
	serialbridge.Sink
	mu       sync.Mutex
	devices  []serialbridge.Device
	readings []serialbridge.Reading
}

func (s *sink) Device(d serialbridge.Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.devices = append(s.devices, d)
}

func (s *sink) Reading(r serialbridge.Reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readings = append(s.readings, r)
}

var errDone = errors.New("that is all")

// run runs the driver on a socket with a stick, until it ends.
func run(t *testing.T, s *socket, stick func(context.Context, io.ReadWriter), n *network, o Options) (*sink, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	if stick != nil {
		all.Go(func() { stick(ctx, inside{s}) })
	}
	k := &sink{}
	err := Driver(n, o, nil).Run(ctx, s, k, nil)
	cancel()
	s.Close()
	all.Wait()
	return k, err
}

const address zigbee.IEEEAddress = 0x00124b0000000001

// sticks are those that there are to simulate, and what they are called.
var sticks = map[string]struct {
	radio string
	make  func(*air.Network) func(context.Context, io.ReadWriter)
}{
	"Z-Stack 3.x.0": {radioZNP, func(n *air.Network) func(context.Context, io.ReadWriter) {
		s := znpstick.New(n, znpstick.Options{Product: znpstick.ZStack3x0, IEEEAddress: address})
		return func(ctx context.Context, c io.ReadWriter) { defer s.Close(); s.Serve(ctx, c) }
	}},
	"EZSP 13": {radioEZSP, func(n *air.Network) func(context.Context, io.ReadWriter) {
		s := ezspstick.New(n, ezspstick.Options{Version: 13, IEEEAddress: address})
		return func(ctx context.Context, c io.ReadWriter) { s.Serve(ctx, c) }
	}},
	"EZSP 14": {radioEZSP, func(n *air.Network) func(context.Context, io.ReadWriter) {
		s := ezspstick.New(n, ezspstick.Options{Version: 14, IEEEAddress: address})
		return func(ctx context.Context, c io.ReadWriter) { s.Serve(ctx, c) }
	}},
}

// Of a stick nothing is known but that the user says it is Zigbee.
func TestUnknownStickIsOpened(t *testing.T) {
	for name, kind := range sticks {
		for _, speed := range []int{115200, 460800, 57600} {
			if kind.radio == radioZNP && speed != 115200 {
				continue
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSocket(hardware.SerialPort{VendorID: "1a86", ProductID: "7523"}, speed)
					started := time.Now()
					n := &network{serve: func(ctx context.Context, c zigbee.Coordinator) error {
						if got := c.Info().IEEEAddress; got != address {
							t.Errorf("the stick is %s", got)
						}
						return errDone
					}}
					k, err := run(t, s, kind.make(air.New(air.Options{})), n, Options{})
					if !errors.Is(err, errDone) {
						t.Fatalf("%v, tried %s", err, s.tried())
					}
					if took := time.Since(started); took > 4*attemptTime {
						t.Errorf("it took %v", took)
					}
					if len(k.devices) != 1 || k.devices[0].ID != "zigbee_00124b0000000001" || k.devices[0].Model == "" || len(k.readings) != 1 {
						t.Errorf("the house is told of %+v, %+v", k.devices, k.readings)
					}
				})
			})
		}
	}
}

// A stick whose USB strings tell the product is spoken to as that at once.
func TestKnownStickIsOpenedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSocket(hardware.SerialPort{VendorID: "303a", ProductID: "831a", Manufacturer: "Nabu Casa", Product: "ZBT-2"}, 460800)
		n := &network{serve: func(context.Context, zigbee.Coordinator) error { return errDone }}
		if _, err := run(t, s, sticks["EZSP 14"].make(air.New(air.Options{})), n, Options{}); !errors.Is(err, errDone) {
			t.Fatal(err)
		}
		if got := s.tried(); got != "460800 8N1 rtscts" {
			t.Errorf("tried %s", got)
		}
	})
}

// When the network wants the stick opened again it is, without the supervisor's taking
// notice, and with what has worked.
func TestStickIsOpenedAgain(t *testing.T) {
	for name, kind := range sticks {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSocket(hardware.SerialPort{}, 115200)
				times := 0
				n := &network{}
				n.serve = func(_ context.Context, c zigbee.Coordinator) error {
					defer c.Close()
					select {
					case <-c.Done():
						t.Error("the stick has failed: ", c.Err())
					default:
					}
					if times++; times < 3 {
						return zigbee.ErrReopen
					}
					return errDone
				}
				_, err := run(t, s, kind.make(air.New(air.Options{})), n, Options{})
				if !errors.Is(err, errDone) || times != 3 {
					t.Fatalf("%v after %d times", err, times)
				}
				tried := strings.Split(s.tried(), ", ")
				for _, again := range tried[len(tried)-2:] {
					if again != tried[len(tried)-3] {
						t.Errorf("tried %s", tried)
					}
				}
			})
		})
	}
}

// What cannot be used is explained in a sentence that a person can act on.
func TestUselessSticks(t *testing.T) {
	deCONZ := []byte{0xc0, 0x0d, 0x01, 0x00, 0x09, 0x00, 0x00, 0x07, 0x78, 0x26, 0x44, 0xff, 0xc0}
	for _, c := range []struct {
		name   string
		answer func([]byte) []byte
		want   []string
		within time.Duration
	}{
		{"silent", func([]byte) []byte { return nil }, []string{"no Zigbee coordinator answers", "check"}, 5 * attemptTime},
		{"deCONZ", func(b []byte) []byte {
			if b[0] == 0xc0 {
				return deCONZ
			}
			return nil
		}, []string{"ConBee", "use a stick"}, attemptTime},
		{"an Arduino", func([]byte) []byte { return []byte("temperature 21.5\r\nhumidity 40\r\n") }, []string{"text", "no Zigbee coordinator"}, 5 * attemptTime},
		{"echo", func(b []byte) []byte { return b }, []string{"no Zigbee coordinator answers", "connected with each other"}, 5 * attemptTime},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSocket(hardware.SerialPort{}, 0)
				s.answer = c.answer
				n := &network{serve: func(context.Context, zigbee.Coordinator) error { t.Error("served"); return nil }}
				started := time.Now()
				_, err := run(t, s, nil, n, Options{})
				if err == nil {
					t.Fatal("no error")
				}
				t.Logf("after %v: %v", time.Since(started), err)
				for _, want := range c.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("it says %q, without %q", err, want)
					}
				}
				if took := time.Since(started); took > c.within {
					t.Errorf("it took %v", took)
				}
				if text := err.Error(); len(text) > 300 || strings.ContainsAny(text, "\n\x00") || strings.Count(text, ":") > 3 {
					t.Errorf("nobody reads that: %q", text)
				}
			})
		})
	}
}

func TestRunEnds(t *testing.T) {
	t.Run("the network fails", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSocket(hardware.SerialPort{}, 115200)
			n := &network{serve: func(context.Context, zigbee.Coordinator) error { return errDone }}
			if _, err := run(t, s, sticks["EZSP 13"].make(air.New(air.Options{})), n, Options{Radio: radioEZSP}); !errors.Is(err, errDone) {
				t.Error(err)
			}
		})
	})
	t.Run("unplugged while it is looked for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSocket(hardware.SerialPort{}, 115200)
			time.AfterFunc(time.Second, func() { s.end(serialbridge.ErrUnplugged) })
			if _, err := run(t, s, nil, &network{}, Options{}); !errors.Is(err, serialbridge.ErrUnplugged) {
				t.Error(err)
			}
		})
	})
	t.Run("unplugged while it is in use", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSocket(hardware.SerialPort{}, 115200)
			n := &network{serve: func(ctx context.Context, c zigbee.Coordinator) error {
				s.end(serialbridge.ErrUnplugged)
				select {
				case <-c.Done():
					return c.Err()
				case <-time.After(time.Minute):
					return errors.New("nobody has noticed")
				}
			}}
			if _, err := run(t, s, sticks["Z-Stack 3.x.0"].make(air.New(air.Options{})), n, Options{}); !errors.Is(err, serialbridge.ErrUnplugged) {
				t.Error(err)
			}
		})
	})
	t.Run("the program ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSocket(hardware.SerialPort{}, 115200)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if err := Driver(&network{}, Options{}, nil).Run(ctx, s, &sink{}, nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			s.Close()
		})
	})
	t.Run("there is no network", func(t *testing.T) {
		if err := Driver(nil, Options{}, nil).Run(context.Background(), nil, nil, nil); err == nil || !strings.Contains(err.Error(), "zigbee.enabled") {
			t.Error(err)
		}
	})
}

// talkative is a coordinator that tells of something as soon as somebody listens.
type talkative struct{ zigbee.Coordinator }

func (talkative) Events(f func(zigbee.Event)) { f(zigbee.Joined{IEEEAddress: address}) }

// What the network is told of is counted.
func TestEventsAreCounted(t *testing.T) {
	c := &counting{Coordinator: talkative{}}
	var told []zigbee.Event
	c.Events(func(e zigbee.Event) { told = append(told, e) })
	if c.heard.Load() != 1 || len(told) != 1 {
		t.Errorf("%d counted, %d told", c.heard.Load(), len(told))
	}
}
