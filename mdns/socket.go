package mdns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

const (
	mdnsPort  = 5353
	maxPacket = 9000 // RFC 6762 section 17
	hopLimit  = 255  // RFC 6762 section 11
)

var (
	group4 = netip.MustParseAddrPort("224.0.0.251:5353")
	group6 = netip.MustParseAddrPort("[ff02::fb]:5353")
)

// A packet is one datagram with where it came from.
type packet struct {
	data  []byte
	index int            // of the interface
	src   netip.AddrPort // without zone
	dst   netip.Addr
	v6    bool
}

// A socket is one UDP socket on port 5353. What IPv4 and IPv6 name differently
// is in its functions.
type socket struct {
	v6     bool
	group  netip.AddrPort
	recv   func(b []byte) (n, index int, dst net.IP, src net.Addr, err error)
	send   func(b []byte, index int, to *net.UDPAddr) error
	join   func(i *net.Interface, group net.Addr) error
	leave  func(i *net.Interface, group net.Addr) error
	conn   net.PacketConn
	joined map[int]net.Interface
}

// listen opens the sockets. One family is enough.
func listen(log *slog.Logger) ([]*socket, error) {
	var socks []*socket
	s4, err4 := listen4()
	if err4 == nil {
		socks = append(socks, s4)
	}
	s6, err6 := listen6()
	if err6 == nil {
		socks = append(socks, s6)
	}
	if len(socks) == 0 {
		return nil, fmt.Errorf("mdns: port 5353 cannot be opened, the name will not be found on the network "+
			"(another program may hold the port for itself alone: see ss -ulpn): %w", errors.Join(err4, err6))
	}
	if err := errors.Join(err4, err6); err != nil {
		log.Warn("one address family is not served", "err", err)
	}
	return socks, nil
}

func listen4() (*socket, error) {
	conn, err := bind("udp4", "0.0.0.0:5353")
	if err != nil {
		return nil, err
	}
	p := ipv4.NewPacketConn(conn)
	err = errors.Join(
		p.SetControlMessage(ipv4.FlagInterface|ipv4.FlagDst, true),
		p.SetMulticastTTL(hopLimit), p.SetTTL(hopLimit), p.SetMulticastLoopback(true))
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("setting up IPv4 multicast: %w", err)
	}
	return &socket{
		group: group4,
		recv: func(b []byte) (int, int, net.IP, net.Addr, error) {
			n, cm, src, err := p.ReadFrom(b)
			if cm == nil {
				cm = new(ipv4.ControlMessage)
			}
			return n, cm.IfIndex, cm.Dst, src, err
		},
		send: func(b []byte, index int, to *net.UDPAddr) error {
			_, err := p.WriteTo(b, &ipv4.ControlMessage{IfIndex: index}, to)
			return err
		},
		join: p.JoinGroup, leave: p.LeaveGroup,
		conn: conn, joined: make(map[int]net.Interface),
	}, nil
}

func listen6() (*socket, error) {
	conn, err := bind("udp6", "[::]:5353")
	if err != nil {
		return nil, err
	}
	p := ipv6.NewPacketConn(conn)
	err = errors.Join(
		p.SetControlMessage(ipv6.FlagInterface|ipv6.FlagDst, true),
		p.SetMulticastHopLimit(hopLimit), p.SetHopLimit(hopLimit), p.SetMulticastLoopback(true))
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("setting up IPv6 multicast: %w", err)
	}
	return &socket{
		v6:    true,
		group: group6,
		recv: func(b []byte) (int, int, net.IP, net.Addr, error) {
			n, cm, src, err := p.ReadFrom(b)
			if cm == nil {
				cm = new(ipv6.ControlMessage)
			}
			return n, cm.IfIndex, cm.Dst, src, err
		},
		send: func(b []byte, index int, to *net.UDPAddr) error {
			_, err := p.WriteTo(b, &ipv6.ControlMessage{IfIndex: index}, to)
			return err
		},
		join: p.JoinGroup, leave: p.LeaveGroup,
		conn: conn, joined: make(map[int]net.Interface),
	}, nil
}

// bind opens a UDP socket that shares its port with zeroconf and with whatever
// other responder the machine has. IP_MULTICAST_ALL is switched off because
// Linux otherwise delivers the groups that any socket of the machine joined,
// on whatever interface.
func bind(network, address string) (net.PacketConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		cerr := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
			// Only a precaution, and refused by kernels before 4.20 for IPv6:
			// packets of links that are not in use are dropped anyway.
			if network == "udp4" {
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0)
			} else {
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0)
			}
		})
		return errors.Join(cerr, err)
	}}
	return lc.ListenPacket(context.Background(), network, address)
}

func (s *socket) close() { s.conn.Close() }

// read hands packets over until stop is closed and the socket with it.
func (s *socket) read(packets chan<- packet, stop <-chan struct{}) {
	buf := make([]byte, maxPacket+1) // one more, to see that a packet was longer
	for {
		n, index, dst, src, err := s.recv(buf)
		if err != nil {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond): // an error that stays must not spin
			}
			continue
		}
		p := packet{data: append([]byte(nil), buf[:n]...), index: index, v6: s.v6}
		if u, ok := src.(*net.UDPAddr); ok {
			ap := u.AddrPort()
			p.src = netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
		}
		if a, ok := netip.AddrFromSlice(dst); ok {
			p.dst = a.Unmap()
		}
		select {
		case packets <- p:
		case <-stop:
			return
		}
	}
}

// write sends one datagram out of the interface.
func (s *socket) write(b []byte, index int, to netip.AddrPort) error {
	addr := net.UDPAddrFromAddrPort(to)
	if s.v6 && (to.Addr().IsLinkLocalUnicast() || to.Addr().IsMulticast()) {
		addr.Zone = strconv.Itoa(index)
	}
	// An adapter that hangs must not hold up the stop.
	s.conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	return s.send(b, index, addr)
}

// follow joins the group on the links that can be spoken to and leaves it on
// all others.
func (s *socket) follow(links []link, log *slog.Logger) {
	group := net.UDPAddrFromAddrPort(s.group)
	want := make(map[int]bool)
	for _, l := range links {
		if !l.has(s.v6) {
			continue
		}
		want[l.iface.Index] = true
		if _, ok := s.joined[l.iface.Index]; ok {
			continue
		}
		if err := s.join(&l.iface, group); err != nil && !errors.Is(err, unix.EADDRINUSE) {
			log.Warn("joining multicast group failed", "interface", l.iface.Name, "err", err)
			continue
		}
		s.joined[l.iface.Index] = l.iface
	}
	for index, iface := range s.joined {
		if !want[index] {
			s.leave(&iface, group) // fails when the interface is gone, and the membership with it
			delete(s.joined, index)
		}
	}
}
