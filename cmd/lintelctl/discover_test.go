//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lintel/mdns"
)

// A box that makes itself known is found, in a network of its own.
func TestDiscover(t *testing.T) {
	const inside = "LINTELCTL_TEST_INSIDE"
	if os.Getenv(inside) == "" {
		if os.Getuid() != 0 {
			t.Skip("a network of its own takes root")
		}
		if _, err := exec.LookPath("ip"); err != nil && os.Getenv("LINTEL_NEED_ALL") != "1" {
			t.Skip("needs the Debian package iproute2: ", err)
		}
		again := exec.Command(os.Args[0], "-test.run=^TestDiscover$", "-test.v")
		again.Env = append(os.Environ(), inside+"=1")
		again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		out, err := again.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS") {
			if strings.Contains(fmt.Sprint(err), "operation not permitted") && os.Getenv("LINTEL_NEED_ALL") != "1" {
				t.Skip("no network of its own here: ", err)
			}
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	for _, command := range []string{"link set lo up", "link add lan0 type veth peer name lan1", "link set lan1 up", "address add 10.83.0.2/24 dev lan0", "link set lan0 up"} {
		if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", command, err, out)
		}
	}
	pages, err := net.Listen("tcp", "10.83.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/pair" {
			fmt.Fprint(w, `{"id": "x", "claimed": false}`)
		}
	})}
	go server.Serve(pages)
	defer server.Close()
	port := pages.Addr().(*net.TCPAddr).Port
	advertiser := mdns.New(mdns.Options{Host: "shed", Services: []mdns.Service{{Instance: "Lintel in the shed", Type: "_lintel._tcp", Port: port,
		Text: []string{"id=abc", "name=Lintel in the shed", "model=Raspberry Pi 4", "version=1.2"}}}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- advertiser.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	var boxes []foundBox
	for deadline := time.Now().Add(time.Minute); len(boxes) == 0 && time.Now().Before(deadline); {
		status, out, said := statusOf("", "discover", "--for", "2", "--json")
		if status != 0 {
			t.Fatal(said)
		}
		if err := json.Unmarshal([]byte(out), &boxes); err != nil {
			t.Fatal(err)
		}
	}
	if len(boxes) != 1 {
		t.Fatalf("%+v", boxes)
	}
	b := boxes[0]
	if b.Claimed == nil || *b.Claimed {
		t.Errorf("claimed: %v", b.Claimed)
	}
	b.Claimed = nil
	want := fmt.Sprintf(`{Name:Lintel in the shed URL:http://shed.local:%d Host:shed.local Addresses:[10.83.0.2`, port)
	if got := fmt.Sprintf("%+v", b); !strings.HasPrefix(got, want) || !strings.Contains(got, "Model:Raspberry Pi 4 Version:1.2 ID:abc") {
		t.Errorf("got %s, want %s", got, want)
	}
	if status, out, said := statusOf("", "discover", "--for", "2"); status != 0 || !strings.Contains(out, "Lintel in the shed  http://shed.local:") {
		t.Errorf("%s %s", out, said)
	}
}

// What strangers say is bounded, and does nothing to a terminal.
func TestAnswersOfStrangers(t *testing.T) {
	a := newAnswers()
	for i := range 1000 {
		name := fmt.Sprintf("box%d.%s", i, lintelService)
		if i == 0 {
			name = `evil\027[2J\.\228.` + lintelService
		}
		header := func(name string, kind uint16) dns.RR_Header {
			return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: 120}
		}
		m := dns.Msg{MsgHdr: dns.MsgHdr{Response: true}, Answer: []dns.RR{
			&dns.PTR{Hdr: header(lintelService, dns.TypePTR), Ptr: name},
			&dns.SRV{Hdr: header(name, dns.TypeSRV), Port: 80, Target: fmt.Sprintf("h%d.local.", i)},
			&dns.TXT{Hdr: header(name, dns.TypeTXT), Txt: []string{"model=" + strings.Repeat("x", 240), "", "version"}},
		}}
		for n := range 20 {
			m.Extra = append(m.Extra, &dns.A{Hdr: header(fmt.Sprintf("h%d.local.", i), dns.TypeA), A: net.IPv4(192, 0, 2, byte(n))})
		}
		packet, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		a.take(packet, "lan0")
	}
	boxes := a.boxes()
	if len(boxes) != maxFound || len(boxes[0].Addresses) != maxAddresses || len(a.addresses) != maxFound {
		t.Errorf("%d boxes, %d addresses, %d hosts", len(boxes), len(boxes[0].Addresses), len(a.addresses))
	}
	if evil := boxes[len(boxes)-1]; evil.Name != "evil\uFFFD[2J.\uFFFD" || len(evil.Model) > maxSaid+len("…") || evil.URL != "http://h0.local" {
		t.Errorf("%+v", evil)
	}
	var out bytes.Buffer
	if err := writeBoxes(&out, boxes[:1]); err != nil || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("%v\n%s", err, &out)
	}
}

func FuzzAnswers(f *testing.F) {
	m := dns.Msg{Question: []dns.Question{{Name: lintelService, Qtype: dns.TypePTR, Qclass: dns.ClassINET}}}
	packet, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packet)
	f.Fuzz(func(t *testing.T, packet []byte) {
		a := newAnswers()
		a.take(packet, "lan0")
		a.queries()
		for _, b := range a.boxes() {
			if len(b.Addresses) == 0 || strings.ContainsFunc(b.Name, func(r rune) bool { return r < ' ' }) {
				t.Errorf("%+v", b)
			}
		}
	})
}
