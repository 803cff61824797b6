package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// mark is the protocol (IFA_PROTO, rtm_protocol) of the addresses and routes that are set here: so
// they are told from those of DHCP and of routers, also after a crash. Numbers from 5 on are free
// for programs [ip-address(8), rtnetlink(7)].
const mark = 0x4c

// ifaProto is IFA_PROTO, of Linux 5.18 and later.
const ifaProto = 11

var order = binary.NativeEndian // of netlink(7)

// rtnetlink is a socket to the kernel's routing tables. It is not for several goroutines at a time.
type rtnetlink struct {
	fd       int
	sequence uint32
}

func dialRoute() (*rtnetlink, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	timeout := unix.Timeval{Sec: 5}
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("netlink", err)
	}
	return &rtnetlink{fd: fd}, nil
}

func (r *rtnetlink) close() { unix.Close(r.fd) }

// message is a message of the kernel without its header.
type message struct {
	kind uint16
	body []byte
}

// do sends a request and returns the answers, those of a dump all.
func (r *rtnetlink) do(kind, flags uint16, body []byte) (answers []message, err error) {
	r.sequence++
	b := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(body))
	order.PutUint32(b, uint32(unix.NLMSG_HDRLEN+len(body)))
	order.PutUint16(b[4:], kind)
	order.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK|flags)
	order.PutUint32(b[8:], r.sequence)
	if err := unix.Sendto(r.fd, append(b, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, os.NewSyscallError("sendto", err)
	}
	buffer := make([]byte, 64<<10)
	for {
		n, from, err := unix.Recvfrom(r.fd, buffer, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, os.NewSyscallError("recvfrom", err)
		}
		if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 {
			continue // not the kernel
		}
		for rest := buffer[:n]; len(rest) >= unix.NLMSG_HDRLEN; {
			size := int(order.Uint32(rest))
			if size < unix.NLMSG_HDRLEN || size > len(rest) {
				return nil, errors.New("netlink: a message of the kernel is cut off")
			}
			m := message{order.Uint16(rest[4:]), append([]byte{}, rest[unix.NLMSG_HDRLEN:size]...)}
			ours := order.Uint32(rest[8:]) == r.sequence
			rest = rest[min(align(size), len(rest)):]
			switch {
			case !ours:
			case m.kind == unix.NLMSG_DONE:
				return answers, nil
			case m.kind == unix.NLMSG_ERROR:
				if len(m.body) < 4 {
					return nil, errors.New("netlink: a message of the kernel is cut off")
				}
				if code := int32(order.Uint32(m.body)); code != 0 {
					return nil, unix.Errno(-code)
				}
				return answers, nil
			default:
				answers = append(answers, m)
			}
		}
	}
}

func align(n int) int { return (n + 3) &^ 3 }

// attribute appends an attribute to a message.
func attribute(b []byte, kind uint16, value []byte) []byte {
	b = order.AppendUint16(b, uint16(4+len(value)))
	b = order.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, align(len(value))-len(value))...)
}

// attributes parses attributes; of a kind that is there twice, the last one counts.
func attributes(b []byte) map[uint16][]byte {
	m := make(map[uint16][]byte)
	for len(b) >= 4 {
		size := int(order.Uint16(b))
		if size < 4 || size > len(b) {
			break
		}
		m[order.Uint16(b[2:])&0x3fff] = b[4:size] // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
		b = b[min(align(size), len(b)):]
	}
	return m
}

func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// address is an address of an interface.
type address struct {
	netip.Prefix
	ours    bool
	dynamic bool // of IPv6: a router has announced its network
}

// addresses returns those of an interface, without those of IPv6 that the link has by itself.
func (r *rtnetlink) addresses(index int) (list []address, err error) {
	answers, err := r.do(unix.RTM_GETADDR, unix.NLM_F_DUMP, make([]byte, unix.SizeofIfAddrmsg))
	if err != nil {
		return nil, fmt.Errorf("read the addresses: %w", err)
	}
	for _, m := range answers {
		if m.kind != unix.RTM_NEWADDR || len(m.body) < unix.SizeofIfAddrmsg || int(order.Uint32(m.body[4:])) != index {
			continue
		}
		at := attributes(m.body[unix.SizeofIfAddrmsg:])
		value := at[unix.IFA_LOCAL]
		if value == nil {
			value = at[unix.IFA_ADDRESS]
		}
		a, ok := netip.AddrFromSlice(value)
		if !ok || a.Is6() && a.IsLinkLocalUnicast() {
			continue
		}
		flags := uint32(m.body[2])
		if f := at[unix.IFA_FLAGS]; len(f) == 4 {
			flags = order.Uint32(f)
		}
		proto := at[ifaProto]
		list = append(list, address{netip.PrefixFrom(a, int(m.body[1])), len(proto) == 1 && proto[0] == mark, flags&unix.IFA_F_PERMANENT == 0})
	}
	return list, nil
}

func (r *rtnetlink) addAddress(index int, p netip.Prefix) error {
	b := addressMessage(index, p)
	b = attribute(b, ifaProto, []byte{mark})
	if p.Addr().Is4() {
		last := broadcast(p).As4()
		b = attribute(b, unix.IFA_BROADCAST, last[:])
	}
	if _, err := r.do(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, b); err != nil {
		return fmt.Errorf("set the address %v: %w", p, err)
	}
	return nil
}

func (r *rtnetlink) removeAddress(index int, p netip.Prefix) error {
	if _, err := r.do(unix.RTM_DELADDR, 0, addressMessage(index, p)); err != nil && err != unix.EADDRNOTAVAIL {
		return fmt.Errorf("remove the address %v: %w", p, err)
	}
	return nil
}

func addressMessage(index int, p netip.Prefix) []byte {
	b := []byte{family(p.Addr()), byte(p.Bits()), 0, 0}
	b = order.AppendUint32(b, uint32(index))
	b = attribute(b, unix.IFA_LOCAL, p.Addr().AsSlice())
	return attribute(b, unix.IFA_ADDRESS, p.Addr().AsSlice())
}

// route is the way to all other networks.
type route struct {
	gateway  netip.Addr
	priority uint32
	ours     bool
	protocol byte
}

// defaults returns the default routes of a family that lead over an interface.
func (r *rtnetlink) defaults(index int, family byte) (list []route, err error) {
	answers, err := r.do(unix.RTM_GETROUTE, unix.NLM_F_DUMP, append([]byte{family}, make([]byte, unix.SizeofRtMsg-1)...))
	if err != nil {
		return nil, fmt.Errorf("read the routes: %w", err)
	}
	for _, m := range answers {
		if m.kind != unix.RTM_NEWROUTE || len(m.body) < unix.SizeofRtMsg || m.body[0] != family || m.body[1] != 0 || m.body[4] != unix.RT_TABLE_MAIN {
			continue
		}
		at := attributes(m.body[unix.SizeofRtMsg:])
		if out := at[unix.RTA_OIF]; len(out) != 4 || int(order.Uint32(out)) != index {
			continue
		}
		rt := route{protocol: m.body[5], ours: m.body[5] == mark}
		rt.gateway, _ = netip.AddrFromSlice(at[unix.RTA_GATEWAY])
		if p := at[unix.RTA_PRIORITY]; len(p) == 4 {
			rt.priority = order.Uint32(p)
		}
		list = append(list, rt)
	}
	return list, nil
}

func (r *rtnetlink) addDefault(index int, rt route) error {
	b := routeMessage(index, family(rt.gateway), mark, rt)
	if _, err := r.do(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, b); err != nil {
		return fmt.Errorf("set the gateway %v: %w", rt.gateway, err)
	}
	return nil
}

func (r *rtnetlink) removeDefault(index int, fam byte, rt route) error {
	if _, err := r.do(unix.RTM_DELROUTE, 0, routeMessage(index, fam, rt.protocol, rt)); err != nil && err != unix.ESRCH {
		return fmt.Errorf("remove the gateway %v: %w", rt.gateway, err)
	}
	return nil
}

func routeMessage(index int, fam, protocol byte, rt route) []byte {
	b := []byte{fam, 0, 0, 0, unix.RT_TABLE_MAIN, protocol, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST, 0, 0, 0, 0}
	b = attribute(b, unix.RTA_OIF, order.AppendUint32(nil, uint32(index)))
	if rt.gateway.IsValid() {
		b = attribute(b, unix.RTA_GATEWAY, rt.gateway.AsSlice())
	}
	return attribute(b, unix.RTA_PRIORITY, order.AppendUint32(nil, rt.priority))
}

// up switches an interface on.
func (r *rtnetlink) up(i *net.Interface) error {
	if i.Flags&net.FlagUp != 0 {
		return nil
	}
	b := make([]byte, unix.SizeofIfInfomsg)
	order.PutUint32(b[4:], uint32(i.Index))
	order.PutUint32(b[8:], unix.IFF_UP)
	order.PutUint32(b[12:], unix.IFF_UP)
	if _, err := r.do(unix.RTM_NEWLINK, 0, b); err != nil {
		return fmt.Errorf("switch %s on: %w", i.Name, err)
	}
	return nil
}
