package uplink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"lintel/gateway/mqtt"
)

// connectLocal opens the session at the box.
func (u *Uplink) connectLocal(ctx context.Context, window int) (*conn, error) {
	nc, err := u.broker.Dial(context.WithoutCancel(ctx)) // it is closed by whom it is given to
	if err != nil {
		return nil, err
	}
	c := newConn(nc, mqtt.V50, 0)
	connect := mqtt.Connect{Version: mqtt.V50, ClientID: SessionID(u.o.Name)}
	connect.Properties.SetUint(mqtt.SessionExpiryInterval, 0xFFFFFFFF)
	connect.Properties.SetUint(mqtt.ReceiveMaximum, uint32(window))
	if err := c.connect(&connect); err != nil {
		nc.Close()
		return nil, fmt.Errorf("the box's own broker: %w", err)
	}
	return c, nil
}

// subscribeLocal opens the session at the box for the first time, with the subscriptions of
// the maps and no others.
func (u *Uplink) subscribeLocal(ctx context.Context) error {
	c, err := u.connectLocal(ctx, 1)
	if err != nil {
		return err
	}
	defer c.net.Close()
	stop := context.AfterFunc(ctx, func() { c.net.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	u.startClean = !c.present
	wanted := u.subscriptions(In, (*Map).local, 2)
	var packets []byte
	waiting := 0
	var surplus []string
	for _, filter := range u.broker.SessionFilters(SessionID(u.o.Name)) {
		if !slices.ContainsFunc(wanted, func(r mqtt.FilterRequest) bool { return r.Filter == filter }) {
			surplus = append(surplus, filter)
		}
	}
	if len(surplus) > 0 {
		packets = (&mqtt.Unsubscribe{PacketID: 1, Filters: surplus}).Append(packets, mqtt.V50)
		waiting++
	}
	if len(wanted) > 0 {
		packets = (&mqtt.Subscribe{PacketID: 2, Filters: withoutRetained(wanted)}).Append(packets, mqtt.V50)
		waiting++
	}
	c.net.SetDeadline(time.Now().Add(answerTime))
	if waiting > 0 {
		// Not in this goroutine: what waits in the session comes meanwhile.
		go c.net.Write(packets)
	}
	for waiting > 0 {
		p, err := c.read()
		if err != nil {
			return fmt.Errorf("the box's own broker: %w", err)
		}
		if p.Type != mqtt.SUBACK && p.Type != mqtt.UNSUBACK {
			continue // it comes again
		}
		var answer mqtt.Suback
		if err := answer.Decode(p, mqtt.V50); err != nil {
			return err
		}
		for _, code := range answer.Codes {
			if code >= 0x80 {
				return fmt.Errorf("the box's own broker: subscribe: %w", &mqtt.Error{Code: code})
			}
		}
		waiting--
	}
	go c.net.Write((&mqtt.Disconnect{Type: mqtt.DISCONNECT}).Append(nil, mqtt.V50))
	for err == nil { // until the broker has read it
		_, err = c.read()
	}
	return nil
}

// withoutRetained makes subscriptions bring no retained messages.
func withoutRetained(requests []mqtt.FilterRequest) []mqtt.FilterRequest {
	for i := range requests {
		requests[i].Options |= 2 << 4
	}
	return requests
}

// connectRemote opens the session at the remote.
func (u *Uplink) connectRemote(ctx context.Context, connect mqtt.Connect) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	nc, err := u.dialer(ctx)
	if err != nil {
		return nil, u.asked(err)
	}
	d := dialects[u.dialect]
	connect.Version, connect.Bridge = d.version, d.bridge
	connect.KeepAlive = uint16(u.o.KeepAlive / time.Second)
	if u.o.User != "" || u.o.Password != "" {
		connect.HasUserName, connect.UserName = true, u.o.User
		connect.HasPassword, connect.Password = u.o.Password != "", []byte(u.o.Password)
	}
	if d.version == mqtt.V50 {
		if !u.o.Clean && connect.ClientID == u.o.ClientID {
			connect.Properties.SetUint(mqtt.SessionExpiryInterval, sessionTime)
		}
		connect.Properties.SetUint(mqtt.ReceiveMaximum, inWindow)
		connect.Properties.SetUint(mqtt.MaximumPacketSize, uint32(u.broker.MaxPacketSize()))
	}
	c := newConn(nc, d.version, u.broker.MaxPacketSize())
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	err = c.connect(&connect)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		nc.Close()
		return nil, u.asked(err)
	}
	return c, nil
}

// session is one connection, from its first byte to its last.
func (u *Uplink) session(ctx context.Context) error {
	connect := mqtt.Connect{ClientID: u.o.ClientID, CleanStart: u.o.Clean || u.startClean}
	if len(u.o.Wills) > 0 {
		connect.Will = &u.o.Wills[0]
	}
	// 3.1.1 has no way to start clean and to keep what comes then.
	if connect.CleanStart && !u.o.Clean && dialects[u.dialect].version != mqtt.V50 {
		c, err := u.connectRemote(ctx, mqtt.Connect{ClientID: u.o.ClientID, CleanStart: true})
		if err != nil {
			return err
		}
		c.net.Write((&mqtt.Disconnect{Type: mqtt.DISCONNECT}).Append(nil, mqtt.V311))
		c.net.Close()
		connect.CleanStart = false
	}
	remote, err := u.connectRemote(ctx, connect)
	if err != nil {
		return err
	}
	defer remote.net.Close()
	u.count(func(s *Status) { s.Problem = "" }) // that of the connection before: what comes now may have its own
	u.startClean = false
	window := max(1, min(remote.receiveMaximum-1, inWindow))
	if u.suspect.times > 0 {
		window = 1 // to see which it is
	}
	local, err := u.connectLocal(ctx, window)
	if err != nil {
		return err
	}
	defer local.net.Close()
	// Before anything says that the box is there: what is to be said when it is gone.
	var wills []*conn
	for i := 1; i < len(u.o.Wills); i++ {
		c, err := u.connectRemote(ctx, mqtt.Connect{ClientID: fmt.Sprintf("%s-will-%d", u.o.ClientID, i), CleanStart: true, Will: &u.o.Wills[i]})
		if err != nil {
			return err
		}
		defer c.net.Close()
		wills = append(wills, c)
	}
	r := newRelay(u, local, remote)
	all, ctx := errgroup.WithContext(ctx)
	for _, c := range wills {
		all.Go(func() error { return c.holdWill(ctx) })
	}
	for _, c := range []*conn{local, remote} {
		all.Go(func() error {
			defer c.net.Close() // which ends who reads
			return closed(c.write())
		})
	}
	all.Go(func() error { return r.fromLocal() })
	all.Go(func() error { return r.fromRemote() })
	all.Go(func() error { return remote.ping(ctx) })
	all.Go(func() error { return r.sendRetained(ctx) })
	all.Go(func() error { return u.remembered.run(ctx) })
	all.Go(func() error {
		<-ctx.Done()
		remote.leave(len(u.o.Wills) > 0)
		local.leave(false)
		return nil
	})
	r.subscribe()
	u.connected(r)
	err = all.Wait()
	u.lookForCulprit(r, err)
	return err
}

// lookForCulprit counts how often the remote has closed the connection with the same message
// as the only one on its way. The box's packet id tells which: it stays until the
// message is acknowledged.
func (u *Uplink) lookForCulprit(r *relay, err error) {
	id, only := r.alone()
	switch {
	case !errors.Is(err, errClosed) || r.progress():
		u.suspect.id, u.suspect.times = 0, 0
	case !only:
		u.suspect.id, u.suspect.times = 0, 1
	case id == u.suspect.id:
		u.suspect.times++
	default:
		u.suspect.id, u.suspect.times = id, 1
	}
}

// ping sends PINGREQ as often as the keep alive wants.
func (c *conn) ping(ctx context.Context) error {
	if c.keepAlive == 0 {
		return nil
	}
	tick := time.NewTicker(c.keepAlive * 3 / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.send(func(b []byte) []byte { return append(b, byte(mqtt.PINGREQ)<<4, 0) })
		}
	}
}

// holdWill keeps a connection that is there for nothing but its will: one has one only.
func (c *conn) holdWill(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error {
		defer c.net.Close()
		return closed(c.write())
	})
	all.Go(func() error { return c.ping(ctx) })
	all.Go(func() error {
		for {
			if _, err := c.read(); err != nil {
				return closed(err)
			}
		}
	})
	all.Go(func() error {
		<-ctx.Done()
		c.leave(true)
		return nil
	})
	return all.Wait()
}

// leave ends the connection when all is written, with or without its will being
// published. Before 5.0 nothing asks for that but an end without a word.
func (c *conn) leave(will bool) {
	d := mqtt.Disconnect{Type: mqtt.DISCONNECT}
	if will {
		d.Code = mqtt.DisconnectWithWill
	}
	if !will || c.version == mqtt.V50 {
		c.send(func(b []byte) []byte { return d.Append(b, c.version) })
	}
	c.end(errEnded)
}
