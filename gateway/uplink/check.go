package uplink

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// Unfit is why a broker cannot be used, as a sentence for a person.
type Unfit struct {
	Text string
	err  error // nil: what it does not allow
}

func (e *Unfit) Error() string { return e.Text }
func (e *Unfit) Unwrap() error { return e.err }

const (
	checkTime = 10 * time.Second // for a message to come back
	clearTime = 25 * time.Second // for all of it
)

// Check connects as an uplink with these options would and finds out whether that would
// be of use: whether it may subscribe to what the maps bring in, and whether it may publish
// under topics, which get a retained message each, have it retained, and get it back. All
// is as before when it returns. An *Unfit says what is wrong.
func Check(ctx context.Context, b *broker.Broker, o Options, topics []string) error {
	o.Memory, o.Wills, o.Clean = nil, nil, true
	u, err := New(b, o)
	if err != nil {
		return err
	}
	// Nobody else is called that, nor what is left of another check.
	clientID := o.ClientID + "-check-" + rand.Text()[:8]
	c, err := u.connectOnce(ctx, clientID)
	if _, own := b.Session(clientID); err == nil && own {
		c.net.Close()
		return &Unfit{Text: "This is the broker of the box itself. Say where the other broker is."}
	}
	if err == nil {
		err = u.tryOut(ctx, c, topics)
	}
	if _, ok := errors.AsType[*Unfit](err); err == nil || ok || ctx.Err() != nil {
		return err
	}
	return &Unfit{sentence(err, u.url.Host), err}
}

// Clear clears what is retained at the remote through an uplink with these options, as
// o.Memory remembers, and ends the session there. The topics that first matches come
// first. It must not run while the uplink does.
func Clear(ctx context.Context, b *broker.Broker, o Options, first string) error {
	o.Wills = nil
	u, err := New(b, o)
	if err != nil {
		return err
	}
	c, err := u.connectOnce(ctx, o.ClientID)
	if err == nil {
		err = u.clear(ctx, c, first)
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	return &Unfit{sentence(err, u.url.Host), err}
}

// connectOnce opens a session that is for this once.
func (u *Uplink) connectOnce(ctx context.Context, clientID string) (*conn, error) {
	u.o.Clean = true
	for {
		// The bridge bit would keep what is sent from coming back.
		if dialects[u.dialect].bridge {
			u.dialect++
		}
		c, err := u.connectRemote(ctx, mqtt.Connect{ClientID: clientID, CleanStart: true})
		if err == nil || !u.otherDialect(err) {
			return c, err
		}
	}
}

// talk runs f, which reads from a connection, until that returns or time is over. What f
// has sent is written in any case.
func (c *conn) talk(ctx context.Context, limit time.Duration, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer c.net.Close()
	c.keepAlive = 0 // nothing is sent in between
	stop := context.AfterFunc(ctx, func() { c.net.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var all errgroup.Group
	all.Go(func() error { return closed(c.write()) })
	err := f()
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	c.leave(false)
	if werr := all.Wait(); err == nil && !errors.Is(werr, errEnded) {
		err = werr
	}
	// A socket that is closed with something unread takes back what the other side has
	// not read either.
	stop()
	c.net.SetReadDeadline(time.Now().Add(goodbyeTime))
	io.Copy(io.Discard, c.net)
	return err
}

// tryOut is Check on a connection.
func (u *Uplink) tryOut(ctx context.Context, c *conn, topics []string) error {
	payload := "lintel-" + rand.Text()
	if !c.retains {
		c.net.Close()
		return &Unfit{Text: "The broker does not retain messages. Home Assistant and the box need that: allow it there."}
	}
	var wanted []mqtt.FilterRequest
	for _, f := range u.subscriptions(Out, (*Map).remote, 2) {
		wanted = append(wanted, mqtt.FilterRequest{Filter: f.Filter, Options: f.Options & 1})
	}
	missing := make(map[string]bool) // has not come back
	for _, topic := range topics {
		wanted = append(wanted, mqtt.FilterRequest{Filter: topic, Options: 1})
		missing[topic] = true
	}
	put := func(i int, payload string) {
		p := mqtt.Publish{Topic: []byte(topics[i]), Payload: []byte(payload), QoS: min(1, c.maxQoS), Retain: true, PacketID: uint16(i + 1)}
		c.send(func(b []byte) []byte { return p.Append(b, c.version) })
	}
	err := c.talk(ctx, checkTime, func() error {
		defer func() {
			for i := range topics {
				put(i, "")
			}
		}()
		unanswered := 0
		for i := range topics {
			put(i, payload)
			if c.maxQoS > 0 {
				unanswered++
			}
		}
		subscribe := func() { // behind the messages, so that they come as retained ones
			s := mqtt.Subscribe{PacketID: subscribeID, Filters: wanted}
			c.send(func(b []byte) []byte { return s.Append(b, c.version) })
		}
		if unanswered == 0 {
			subscribe()
		}
		subscribed := false
		for len(missing) > 0 || !subscribed {
			p, err := c.read()
			if err != nil {
				return closed(err)
			}
			switch p.Type {
			case mqtt.PUBACK:
				var a mqtt.Ack
				if err := a.Decode(p, c.version); err != nil {
					return err
				}
				if i := int(a.PacketID) - 1; a.Code >= 0x80 && i < len(topics) {
					return &Unfit{Text: fmt.Sprintf("The broker does not let the user publish under %s: %v. Give the user the right to.", below(topics[i]), a.Code)}
				}
				if unanswered--; unanswered == 0 {
					subscribe()
				}
			case mqtt.SUBACK:
				var s mqtt.Suback
				if err := s.Decode(p, c.version); err != nil {
					return err
				}
				for i, code := range s.Codes {
					if code >= 0x80 && i < len(wanted) {
						return &Unfit{Text: fmt.Sprintf("The broker does not let the user read %s. Give the user the right to.", wanted[i].Filter)}
					}
				}
				subscribed = true
			case mqtt.PUBLISH:
				var m mqtt.Publish
				if err := m.Decode(p, c.version); err != nil {
					return err
				}
				if m.QoS == 1 {
					c.ack(mqtt.PUBACK, m.PacketID, mqtt.Success)
				}
				if string(m.Payload) == payload {
					delete(missing, string(m.Topic))
				}
			case mqtt.DISCONNECT:
				return errClosed
			}
		}
		return nil
	})
	if errors.Is(err, context.DeadlineExceeded) && len(missing) > 0 {
		var which []string
		for topic := range missing {
			which = append(which, below(topic))
		}
		slices.Sort(which)
		return &Unfit{Text: fmt.Sprintf("The user is let in, but what was published under %s did not come back. Let the user publish and read there, and the broker retain it.", strings.Join(which, ", "))}
	}
	return err
}

// below is the filter that rights are given for.
func below(topic string) string {
	first, _, _ := strings.Cut(topic, "/")
	return first + "/#"
}

// clear is Clear on a connection.
func (u *Uplink) clear(ctx context.Context, c *conn, first string) error {
	topics := u.remembered.topics()
	slices.SortStableFunc(topics, func(a, b string) int {
		switch x, y := mqtt.Match(first, a), mqtt.Match(first, b); {
		case x == y:
			return 0
		case x:
			return -1
		}
		return 1
	})
	if c.maxQoS == 0 || !c.retains {
		c.net.Close()
		return nil // nothing would answer, or nothing is there
	}
	return c.talk(ctx, clearTime, func() error {
		for part := range slices.Chunk(topics, min(100, c.receiveMaximum)) {
			for i, topic := range part {
				p := mqtt.Publish{Topic: []byte(topic), QoS: 1, Retain: true, PacketID: uint16(i + 1)}
				c.send(func(b []byte) []byte { return p.Append(b, c.version) })
			}
			for unanswered := len(part); unanswered > 0; {
				p, err := c.read()
				if err != nil {
					return closed(err)
				}
				switch p.Type {
				case mqtt.PUBACK:
					unanswered--
				case mqtt.DISCONNECT:
					return errClosed
				}
			}
			for _, topic := range part {
				u.remembered.note(topic, false)
			}
		}
		u.remembered.flush(ctx)
		return nil
	})
}
