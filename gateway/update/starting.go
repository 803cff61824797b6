package update

import (
	"errors"
	"net"
	"time"

	"lintel/gateway/mqtt"
)

// ErrStarting is what [Probe] returns while the program still opens its store, which may
// take minutes after a power cut.
var ErrStarting = errors.New("the broker is still starting")

// startingCode is what 3.1.1 has for it: server unavailable.
const startingCode = mqtt.ReasonCode(3)

// AnswerStarting answers whoever connects to l that the broker is still starting, until l
// is closed.
func AnswerStarting(l net.Listener) {
	for {
		nc, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			time.Sleep(time.Second) // out of descriptors
			continue
		}
		go func() {
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err := nc.Read(make([]byte, maxProbePacket)); err == nil { // a CONNECT, whatever it says
				nc.Write([]byte{byte(mqtt.CONNACK) << 4, 2, 0, byte(startingCode)})
			}
		}()
	}
}
