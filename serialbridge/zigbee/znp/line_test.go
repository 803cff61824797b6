package znp_test

import (
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/simulator/znpstick"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/znp"
)

// TestDamagedLine works on lines that garble, lose and double bytes. What the stick says
// by itself may be lost; what is asked is answered, and nothing wrong is ever told.
func TestDamagedLine(t *testing.T) {
	for name, f := range map[string]znpstick.Faults{
		"garbled":       {Garble: 0.002},
		"lost":          {Lose: 0.002},
		"doubled":       {Double: 0.002},
		"wrong sums":    {Checksum: 0.03},
		"slow":          {Slow: 20 * time.Millisecond},
		"all of it":     {Garble: 0.0005, Lose: 0.0005, Double: 0.0005, Checksum: 0.005, Slow: time.Millisecond},
		"in good order": {},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, cc2652, func(b *bench) {
				c := b.form()
				defer b.close(c)
				to := b.join(c, air.Device{IEEEAddress: lamp, Kind: air.Bulb})
				b.stick.SetFaults(f)
				backup, err := c.Backup(b.ctx)
				if err != nil {
					t.Fatal(err)
				}
				if backup.Parameters != home || len(backup.Devices) != 1 || backup.Devices[0].IEEEAddress != lamp {
					t.Errorf("%+v", backup)
				}
				heard[zigbee.Incoming](b)
				sent, answered := 0, 0
				for range 100 {
					var delivery *zigbee.DeliveryError
					switch err := c.Send(b.ctx, basic(to, 11)); {
					case err == nil:
						sent++
					case !errors.As(err, &delivery):
						t.Fatal(err)
					}
					wait(time.Second)
					for _, m := range heard[zigbee.Incoming](b) {
						answered++
						if string(m.Data) != "\x18\x07\x01\x05\x00\x00\x42\x06LCA001" || m.Source != to || m.SourceEndpoint != 11 {
							t.Errorf("%+v", m)
						}
					}
				}
				want := 100
				if f != (znpstick.Faults{}) && f.Slow < 10*time.Millisecond {
					want = 75
				}
				if name == "wrong sums" && c.Damaged()["line"] == 0 {
					t.Error("no damage was counted")
				}
				if sent < want || answered < want || answered > 100 {
					t.Errorf("%d messages arrived, %d answers came", sent, answered)
				}
				b.stick.SetFaults(znpstick.Faults{})
				if got, err := c.Backup(b.ctx); err != nil || got.Parameters != home {
					t.Errorf("%+v, %v", got, err)
				}
			})
		})
	}
}

// fails wants the coordinator to fail, with these words among its reasons.
func fails(t *testing.T, c *znp.Coordinator, words string) {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(2 * time.Minute):
		t.Fatal("the coordinator does not notice")
	}
	if err := c.Err(); err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("%v", err)
	}
}

func TestStickFails(t *testing.T) {
	play(t, cc2652, func(b *bench) {
		c := b.form()
		to := b.join(c, air.Device{IEEEAddress: lamp, Kind: air.Bulb})
		sending := make(chan error, 1)
		b.air.Drop(lamp, true)
		go func() { sending <- c.Send(b.ctx, basic(to, 11)) }()
		wait(100 * time.Millisecond)
		b.stick.Reset()
		fails(t, c, "restarted")
		if err := <-sending; err == nil {
			t.Error("a message has arrived through a stick that restarted")
		}
		b.close(c)

		c = b.open()
		if err := c.Resume(b.ctx); err != nil {
			t.Fatal(err)
		}
		b.stick.SetFaults(znpstick.Faults{Mute: true})
		if _, err := c.ZDO(b.ctx, 0, 0x0005, []byte{0, 0}); err == nil {
			t.Error("a mute stick has answered")
		}
		fails(t, c, "does not answer")
		b.close(c)
		b.stick.SetFaults(znpstick.Faults{})

		c = b.open()
		if err := c.Resume(b.ctx); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		fails(t, c, "closed")
		if !errors.Is(c.Err(), os.ErrClosed) {
			t.Error(c.Err())
		}
		if err := c.Send(b.ctx, basic(to, 11)); err == nil {
			t.Error("sent by a stick that is closed")
		}
	})
}

// TestForeign tells other sticks from those with Z-Stack.
func TestForeign(t *testing.T) {
	for _, c := range []struct {
		name, question, answer, words string
	}{
		{"EmberZNet", "1ac038bc7e", "1ac1020b0a527e", "EmberZNet"},
		{"EmberZNet by itself", "", "1ac1020b0a527e", "EmberZNet"},
		{"deCONZ", "c00d0100090000000000e9ffc0", "c00d010009000007762646ffc0", "deCONZ"},
		{"ZiGate", "01021010021002101003", "018010021002158a0210021302131f021003", "ZiGate"},
		{"boot loader", "", hex.EncodeToString([]byte("\r\nGecko Bootloader v1.12.00\r\n1. upload gbl\r\nBL > ")), "boot loader"},
		{"text", "", hex.EncodeToString([]byte("ets Jul 29 2019 12:21:46\r\nrst:0x1 (POWERON_RESET)\r\n")), "lines of text"},
		{"noise", "", "0055aa55ff", "not as Z-Stack"},
		{"nothing", "", "", "does not answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				done := make(chan struct{})
				go func() {
					defer close(done)
					answer, _ := hex.DecodeString(c.answer)
					question, _ := hex.DecodeString(c.question)
					var heard []byte
					buf := make([]byte, 64)
					for {
						n, err := far.Read(buf)
						if err != nil {
							return
						}
						heard = append(heard, buf[:n]...)
						if len(answer) > 0 && strings.Contains(string(heard), string(question)) {
							far.Write(answer)
							heard, answer = nil, nil
						}
					}
				}()
				start := time.Now()
				_, err := znp.Open(t.Context(), port{near}, znp.Options{})
				if err == nil || !strings.Contains(err.Error(), c.words) {
					t.Errorf("%v", err)
				}
				if d := time.Since(start); d > 10*time.Second {
					t.Errorf("it took %v", d)
				}
				<-done // Open has closed the port
			})
		})
	}
}

// TestProducts tells firmware apart that speaks MT.
func TestProducts(t *testing.T) {
	for _, c := range []struct {
		name, version, words string
	}{
		{"unknown product", "0205020701" + "2a8d3401", "not known here"},
		{"short version", "0201", "damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				go func() {
					defer far.Close()
					for {
						var head [4]byte
						if _, err := io.ReadFull(far, head[:]); err != nil {
							return
						}
						rest := make([]byte, int(head[1])+1)
						io.ReadFull(far, rest)
						data := []byte{0x79, 0x07}
						if head[3] == 2 {
							data, _ = hex.DecodeString(c.version)
						}
						f := append([]byte{byte(len(data)), 0x61, head[3]}, data...)
						var sum byte
						for _, x := range f {
							sum ^= x
						}
						far.Write(append(append([]byte{0xfe}, f...), sum))
					}
				}()
				if _, err := znp.Open(t.Context(), port{near}, znp.Options{}); err == nil || !strings.Contains(err.Error(), c.words) {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

// TestBootLoader opens a stick that waits in its boot loader until it is told to go on.
func TestBootLoader(t *testing.T) {
	play(t, znpstick.Options{Product: znpstick.ZStack30x}, func(b *bench) {
		near, far := net.Pipe()
		inner, outer := net.Pipe()
		b.serve.Go(func() { b.stick.Serve(b.ctx, inner) })
		b.serve.Go(func() { io.Copy(far, outer); far.Close() })
		b.serve.Go(func() {
			defer outer.Close()
			buf := make([]byte, 300)
			for started := false; ; {
				n, err := far.Read(buf)
				if err != nil {
					return
				}
				if started {
					outer.Write(buf[:n])
				}
				started = started || buf[0] == 0xef
			}
		})
		c, err := znp.Open(b.ctx, port{near}, znp.Options{})
		if err != nil {
			t.Fatal(err)
		}
		b.close(c)
	})
}
