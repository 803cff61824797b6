package drivertest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge"
)

// Device is at the far end of a port and speaks when it is asked. How it answers
// can be changed at any time.
type Device struct {
	*Port
	Answer func(request []byte) []byte
	Spoil  func(answer []byte) // says it, or what became of it; nil: it is said
	Asked  [][]byte            // all requests
	Sink   *Locked             // of the driver; guards all that it and the test use
}

// Wait lets time pass in the bubble.
func (d *Device) Wait(passing time.Duration) {
	d.Sink.Lock()
	d.Sink.Unlock() //lint:ignore SA2001 what the test did before is seen by the driver
	<-time.After(passing)
	synctest.Wait()
}

func (d *Device) hear(request []byte) {
	d.Sink.Lock()
	defer d.Sink.Unlock()
	d.Asked = append(d.Asked, request)
	answer := d.Answer(request)
	if d.Spoil != nil {
		d.Spoil(answer)
		return
	}
	d.Say(answer)
}

// Ask runs a driver with a device in a synctest bubble while use uses them, and
// returns how the driver ended. The recorder is told by the driver.
func Ask(t *testing.T, driver serialbridge.Driver, r *Recorder, answer func(request []byte) []byte,
	use func(d *Device, r *Recorder, commands chan<- serialbridge.Command)) (ended error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := &Device{Port: NewPort(), Answer: answer, Sink: &Locked{Sink: r}}
		d.OnWrite = d.hear
		ctx, cancel := context.WithCancel(t.Context())
		commands, result := make(chan serialbridge.Command), make(chan error, 1)
		go func() { result <- driver.Run(ctx, d, d.Sink, commands) }()
		use(d, r, commands)
		select {
		case ended = <-result:
		default:
			cancel()
			ended = <-result
		}
		cancel()
		d.Close()
		if r.Disorder != "" {
			t.Error(r.Disorder)
		}
	})
	return ended
}
