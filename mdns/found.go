package mdns

import (
	"cmp"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/miekg/dns"
)

// changed returns everything that is there, and whether it is something else
// than the last time.
func (c *cache) changed(now time.Time) ([]Found, bool) {
	if !c.dirty || now.Before(c.publish) {
		return nil, false
	}
	c.dirty, c.publish = false, time.Time{}
	found := c.found()
	if reflect.DeepEqual(found, c.shown) {
		return nil, false
	}
	c.shown = found
	return found, true
}

// found returns what has a place and an address. An instance that is heard on
// several links is one if it is in the same place on them.
func (c *cache) found() []Found {
	found := []Found{}
	for _, k := range c.links {
		for _, in := range k.instances {
			h := k.hosts[strings.ToLower(in.host)]
			if h == nil || len(h.addresses) == 0 || in.text == nil && in.missing.tries < textTries {
				continue
			}
			f := Found{
				Instance: in.label, Type: in.kind.service, Host: strings.TrimSuffix(in.host, "."), Port: in.port,
				Text: in.text,
			}
			for a := range h.addresses {
				f.Addresses = append(f.Addresses, a)
			}
			i := slices.IndexFunc(found, func(o Found) bool { return compareFound(f, o) == 0 })
			if i < 0 {
				found = append(found, f)
				continue
			}
			o := &found[i]
			o.Addresses = append(o.Addresses, f.Addresses...)
			if o.Text == nil {
				o.Text = f.Text
			}
		}
	}
	for i := range found {
		slices.SortFunc(found[i].Addresses, c.compareAddresses)
		found[i].Addresses = slices.Compact(found[i].Addresses)
	}
	slices.SortFunc(found, compareFound)
	return found
}

func compareFound(a, b Found) int {
	return cmp.Or(
		strings.Compare(strings.ToLower(a.Type), strings.ToLower(b.Type)),
		strings.Compare(strings.ToLower(a.Instance), strings.ToLower(b.Instance)),
		strings.Compare(strings.ToLower(a.Host), strings.ToLower(b.Host)),
		cmp.Compare(a.Port, b.Port))
}

// compareAddresses sorts those first that are most likely to be reached.
func (c *cache) compareAddresses(a, b netip.Addr) int {
	rank := func(a netip.Addr) int {
		r := 0
		if !slices.ContainsFunc(c.links, func(k *linkCache) bool { return k.link.contains(a) }) {
			r = 4
		}
		if a.Is6() {
			r++
		}
		if a.IsLinkLocalUnicast() {
			r += 2
		}
		return r
	}
	return cmp.Or(rank(a)-rank(b), a.Compare(b))
}

// instanceLabel returns what people see of the name of an instance of the kind,
// if it is one (RFC 6763 section 4.1.1).
func instanceLabel(name, kind string) (string, bool) {
	i, end := dns.NextLabel(name, 0)
	if end || !strings.EqualFold(name[i:], kind) {
		return "", false
	}
	label, ok := unescape(name[:i-1])
	return label, ok && label != "" && isText(label)
}

// isHostName reports whether a name, as package dns writes it, is one below
// .local that is right in an address that people read.
func isHostName(name string) bool {
	rest, ok := strings.CutSuffix(strings.ToLower(name), "."+domain)
	if !ok || rest == "" || len(rest) > 200 {
		return false
	}
	for _, c := range []byte(rest) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// readText returns the strings of a TXT record that are text, never nil.
func readText(strs []string) ([]string, bool) {
	out, size := []string{}, 0
	for _, s := range strs {
		s, ok := unescape(s)
		if size += len(s); !ok || size > maxText {
			return nil, false
		}
		if s != "" && isText(s) {
			out = append(out, s)
		}
	}
	return out, true
}

func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, isControl)
}

// unescape undoes what package dns does to the bytes of names and strings.
func unescape(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if i++; i >= len(s) {
			return "", false
		}
		if s[i] < '0' || s[i] > '9' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		n := 0
		for _, c := range []byte(s[i : i+3]) {
			if c < '0' || c > '9' {
				return "", false
			}
			n = n*10 + int(c-'0')
		}
		if n > 255 {
			return "", false
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String(), true
}
