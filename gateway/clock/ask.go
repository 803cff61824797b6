package clock

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// server is one of those that are asked.
type server struct {
	name    string
	address netip.Addr
	not     time.Time // to be asked before, by the monotonic clock
	rate    time.Duration
}

// ask asks all servers at the same time. asked is set if a question has left the box.
func (c *Client) ask(ctx context.Context) (samples []sample, answers []ServerStatus, asked bool) {
	list, unasked := c.list(ctx)
	answers = unasked
	type result struct {
		s    *server
		got  sample
		sent bool
		err  error
	}
	results := make(chan result, len(list))
	for _, s := range list {
		go func() {
			got, sent, err := c.query(ctx, s.address)
			results <- result{s, got, sent, err}
		}()
	}
	for range list {
		r := <-results
		asked = asked || r.sent
		status := ServerStatus{Name: r.s.name, Address: r.s.address, Offset: r.got.offset}
		if r.err != nil {
			status.Problem = r.err.Error()
			c.blame(r.s, r.err)
		} else {
			r.s.rate = 0
			samples = append(samples, r.got)
		}
		answers = append(answers, status)
	}
	return samples, answers, asked
}

// blame remembers what a server has done wrong.
func (c *Client) blame(s *server, err error) {
	switch k, _ := errors.AsType[kiss](err); k {
	case "DENY", "RSTR":
		s.not = time.Now().Add(banished)
	case "RATE":
		s.rate = min(max(2*s.rate, 2*shortest), banished)
		s.not = time.Now().Add(s.rate)
	default:
		s.address = netip.Addr{} // the name may lead to another one
	}
}

// list returns whom to ask, with addresses, and whom not, with the reason.
func (c *Client) list(ctx context.Context) (list []*server, unasked []ServerStatus) {
	var mu sync.Mutex
	var group sync.WaitGroup
	resolved, failed := 0, 0
	taken := make(map[netip.Addr]bool)
	for _, name := range c.o.Servers {
		s := c.server(name)
		group.Go(func() {
			err := c.resolve(ctx, s)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				failed++
				unasked = append(unasked, ServerStatus{Name: name, Problem: err.Error()})
			case time.Now().Before(s.not):
				unasked = append(unasked, ServerStatus{Name: name, Address: s.address, Problem: "it wants to be left alone for now"})
			case taken[s.address]: // another name of the same server counts once
			default:
				taken[s.address] = true
				resolved++
				list = append(list, s)
			}
		})
	}
	group.Wait()
	more := func(addresses []netip.Addr) {
		for _, a := range addresses {
			if s := c.server(a.String()); !taken[a] && len(list) < maxAddresses && !time.Now().Before(s.not) {
				taken[a], s.address = true, a
				list = append(list, s)
			}
		}
	}
	if resolved == 0 && failed > 0 && !c.known {
		more(c.o.Fallbacks)
	}
	if c.o.Nearby != nil {
		more(c.o.Nearby())
	}
	return list, unasked
}

func (c *Client) server(name string) *server {
	s, ok := c.servers[name]
	if !ok {
		s = &server{name: name}
		c.servers[name] = s
	}
	return s
}

// resolve finds an address of a server, unless one is known. The other ones of the same name are the
// next time's.
func (c *Client) resolve(ctx context.Context, s *server) error {
	if s.address.IsValid() {
		return nil
	}
	if a, err := netip.ParseAddr(s.name); err == nil {
		s.address = a
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.timeout)
	defer cancel()
	addresses, err := c.o.lookup(ctx, s.name)
	if err != nil || len(addresses) == 0 {
		return fmt.Errorf("the name %s cannot be looked up", s.name)
	}
	var b [1]byte
	rand.Read(b[:])
	s.address = addresses[int(b[0])%len(addresses)].Unmap()
	return nil
}

// query asks one server. Datagrams that are no answer to the question do not end it: anybody
// can send them.
func (c *Client) query(ctx context.Context, address netip.Addr) (s sample, sent bool, err error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(address, c.o.port)))
	if err != nil {
		return s, false, errors.New("there is no way to it")
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	var random [8]byte
	rand.Read(random[:])
	cookie := binary.BigEndian.Uint64(random[:])

	start := time.Now() // what follows is measured by the monotonic clock
	began := c.o.System.Now()
	conn.SetDeadline(start.Add(c.o.timeout))
	if _, err := conn.Write(request(cookie)); err != nil {
		return s, false, errors.New("there is no way to it")
	}
	b := make([]byte, 1024)
	for range maxDatagrams {
		n, err := conn.Read(b)
		took := time.Since(start)
		if err != nil {
			break
		}
		r, err := parseReply(b[:n], cookie)
		if errors.Is(err, errNotOurs) {
			continue
		}
		if err != nil {
			return s, true, err
		}
		ended := began.Add(took)
		delay := max(took-r.sent.Sub(r.received), 0)
		there, back := r.received.Sub(began), r.sent.Sub(ended)
		s = sample{offset: there + (back-there)/2, distance: delay/2 + r.error + time.Millisecond}
		if delay > maxDelay || s.distance > maxDistance {
			return s, true, errors.New("its answer took too long")
		}
		return s, true, nil
	}
	return s, true, errors.New("it does not answer")
}
