package update

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"

	"lintel/gateway/mqtt"
)

const (
	// ProbeSocket, in the data folder, is where the broker lets in whoever asks whether it
	// works: this user and root alone, who may use ProbeTopic there and nothing else.
	ProbeSocket = "probe.sock"
	// ProbeTopic is a topic that nobody else can receive.
	ProbeTopic = "lintel/probe"
	// ProbeClient is how the id of each client begins that asks, those of guard too. They
	// come and go: no client of the house is one of them.
	ProbeClient = "lintel-probe-"

	maxProbePacket = 4 << 10
)

// Probe asks the broker of a data folder whether it works: it connects as any client does,
// subscribes, publishes, and receives what it has published. It takes as long as ctx at most.
func Probe(ctx context.Context, data string) error {
	nc, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(data, ProbeSocket))
	if err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	p := &probe{nc: nc, r: bufio.NewReader(nc)}
	if err := p.run(); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("%s: the broker is silent", p.doing)
		}
		return fmt.Errorf("%s: %w", p.doing, err)
	}
	return nil
}

type probe struct {
	nc    net.Conn
	r     *bufio.Reader
	doing string
}

func (p *probe) run() error {
	text := []byte(rand.Text())
	p.doing = "CONNECT"
	connect := mqtt.Connect{Version: mqtt.V311, CleanStart: true, KeepAlive: 60, ClientID: ProbeClient + rand.Text()[:8]}
	if _, err := p.nc.Write(connect.Append(nil)); err != nil {
		return err
	}
	packet, err := p.expect(mqtt.CONNACK)
	if err != nil {
		return err
	}
	var connack mqtt.Connack
	if err := connack.Decode(packet, mqtt.V311); err != nil {
		return err
	}
	if connack.Code == startingCode {
		return ErrStarting
	}
	if connack.Code != mqtt.Success {
		return fmt.Errorf("refused with code %d", connack.Code)
	}
	p.doing = "SUBSCRIBE"
	subscribe := mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{{Filter: ProbeTopic, Options: 1}}}
	if _, err := p.nc.Write(subscribe.Append(nil, mqtt.V311)); err != nil {
		return err
	}
	if packet, err = p.expect(mqtt.SUBACK); err != nil {
		return err
	}
	var suback mqtt.Suback
	if err := suback.Decode(packet, mqtt.V311); err != nil {
		return err
	}
	if len(suback.Codes) != 1 || suback.Codes[0] >= 0x80 {
		return errors.New("refused")
	}
	p.doing = "PUBLISH"
	publish := mqtt.Publish{QoS: 1, PacketID: 2, Topic: []byte(ProbeTopic), Payload: text}
	if _, err := p.nc.Write(publish.Append(nil, mqtt.V311)); err != nil {
		return err
	}
	// The answer and the message come in either order, and messages of others before.
	for acknowledged, received := false, false; !acknowledged || !received; {
		packet, err := p.next()
		if err != nil {
			return err
		}
		switch packet.Type {
		case mqtt.PUBACK:
			acknowledged = true
		case mqtt.PUBLISH:
			var m mqtt.Publish
			if err := m.Decode(packet, mqtt.V311); err != nil {
				return err
			}
			received = received || bytes.Equal(m.Payload, text)
		}
	}
	p.doing = "DISCONNECT"
	_, err = p.nc.Write([]byte{byte(mqtt.DISCONNECT) << 4, 0})
	return err
}

func (p *probe) expect(t mqtt.PacketType) (mqtt.Packet, error) {
	packet, err := p.next()
	if err == nil && packet.Type != t {
		err = fmt.Errorf("%v came, not %v", packet.Type, t)
	}
	return packet, err
}

// next reads a packet.
func (p *probe) next() (mqtt.Packet, error) {
	var b []byte
	for {
		c, err := p.r.ReadByte()
		if err != nil {
			return mqtt.Packet{}, err
		}
		b = append(b, c)
		size, err := mqtt.Size(b)
		switch {
		case err != nil:
			return mqtt.Packet{}, err
		case size > maxProbePacket:
			return mqtt.Packet{}, fmt.Errorf("a packet of %d bytes", size)
		case size > 0:
			head := len(b)
			b = append(b, make([]byte, size-head)...)
			if _, err := io.ReadFull(p.r, b[head:]); err != nil {
				return mqtt.Packet{}, err
			}
			packet, _, err := mqtt.Parse(b, mqtt.V311, maxProbePacket)
			return packet, err
		}
	}
}
