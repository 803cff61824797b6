package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// A networkBox is a lintel in a network namespace of its own.
type networkBox struct {
	t       *testing.T
	name    string // of the namespace
	address string
	data    string
	cmd     *exec.Cmd
	client  *http.Client
}

func newNetworkBox(t *testing.T, name, address string) *networkBox {
	t.Helper()
	b := &networkBox{t: t, name: fmt.Sprintf("lintel%d-%s", os.Getpid(), name), address: address, data: t.TempDir()}
	if out, err := exec.Command("ip", "netns", "add", b.name).CombinedOutput(); err != nil {
		if os.Getenv("LINTEL_NEED_ALL") == "1" {
			t.Fatalf("cannot make a network namespace: %v: %s", err, out)
		}
		t.Skipf("cannot make a network namespace: %v: %s", err, out)
	}
	t.Cleanup(func() { exec.Command("ip", "netns", "del", b.name).Run() })
	b.ip("link", "set", "lo", "up")
	config := "[mqtt]\nlisten = [\":1883\"]\nwebsocket = []\n[access.anonymous]\n\":1883\" = \"admin\"\n[http]\nlisten = \":80\"\n"
	if err := os.WriteFile(filepath.Join(b.data, "lintel.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b.client = &http.Client{Jar: jar, Timeout: 20 * time.Second, Transport: &http.Transport{
		DialContext:       func(_ context.Context, network, address string) (net.Conn, error) { return b.dial(network, address) },
		DisableKeepAlives: true,
	}}
	return b
}

func (b *networkBox) ip(args ...string) {
	b.t.Helper()
	if out, err := exec.Command("ip", append([]string{"-netns", b.name}, args...)...).CombinedOutput(); err != nil {
		b.t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}

// inside runs f in the namespace. Its thread is not used again.
func (b *networkBox) inside(f func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		var file *os.File
		if file, err = os.Open(filepath.Join("/run/netns", b.name)); err != nil {
			return
		}
		if err = errors.Join(unix.Setns(int(file.Fd()), unix.CLONE_NEWNET), file.Close()); err == nil {
			err = f()
		}
	}()
	<-done
	return err
}

func (b *networkBox) dial(network, address string) (conn net.Conn, err error) {
	err = b.inside(func() (err error) {
		conn, err = net.DialTimeout(network, address, 10*time.Second)
		return err
	})
	return conn, err
}

func (b *networkBox) start() {
	b.t.Helper()
	b.cmd = exec.Command("ip", "netns", "exec", b.name, os.Args[0], "serve", "--data", b.data)
	b.cmd.Env = append(os.Environ(), "LINTEL_TEST_MAIN=1")
	var log bytes.Buffer
	b.cmd.Stderr = &log
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	cmd := b.cmd
	b.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
		if b.t.Failed() {
			b.t.Logf("%s said\n%s", b.name, log.String())
		}
	})
}

func (b *networkBox) stop() {
	b.t.Helper()
	b.cmd.Process.Signal(unix.SIGTERM)
	if err := b.cmd.Wait(); err != nil {
		b.t.Errorf("%s ended with %v", b.name, err)
	}
}

// claim makes the test the owner of the box.
func (b *networkBox) claim() {
	b.t.Helper()
	b.eventually(func() error {
		r, err := b.client.Post("http://"+b.address+"/api/claim", "application/json", strings.NewReader(`{"password":"correct horse battery"}`))
		if err != nil {
			return err
		}
		defer r.Body.Close()
		if r.StatusCode != http.StatusCreated {
			body, _ := io.ReadAll(r.Body)
			return fmt.Errorf("claiming: %s: %s", r.Status, body)
		}
		return nil
	})
}

// shows waits until the status has all of the texts, and none of those that begin
// with a "!".
func (b *networkBox) shows(texts ...string) {
	b.t.Helper()
	b.eventually(func() error {
		r, err := b.client.Get("http://" + b.address + "/api/status")
		if err != nil {
			return err
		}
		defer r.Body.Close()
		var status struct {
			Addresses, Notices []string
			Neighbours         []struct{ Kind, Where string }
		}
		if err := json.NewDecoder(r.Body).Decode(&status); err != nil {
			return fmt.Errorf("%s: %w", r.Status, err)
		}
		said := fmt.Sprint(status)
		if slices.ContainsFunc(texts, func(text string) bool {
			text, not := strings.CutPrefix(text, "!")
			return strings.Contains(said, text) == not
		}) {
			return fmt.Errorf("%s shows %s, want %q", b.name, said, texts)
		}
		return nil
	})
}

func (b *networkBox) eventually(check func() error) {
	b.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatal(err)
		}
		<-time.After(200 * time.Millisecond)
	}
}

// Two boxes as they come, on one network: the second gets another name, says so, uses it
// in everything that it tells, and keeps it. Each sees the other come and go.
func TestTwoBoxes(t *testing.T) {
	if os.Geteuid() != 0 && os.Getenv("LINTEL_NEED_ALL") != "1" {
		t.Skip("needs root to make network namespaces")
	}
	t.Parallel()
	first, second := newNetworkBox(t, "first", "10.77.0.1"), newNetworkBox(t, "second", "10.77.0.2")
	if out, err := exec.Command("ip", "link", "add", "netns", first.name, "name", "eth0", "type", "veth",
		"peer", "netns", second.name, "name", "eth0").CombinedOutput(); err != nil {
		t.Fatalf("laying a cable: %v: %s", err, out)
	}
	for _, b := range []*networkBox{first, second} {
		b.ip("link", "set", "eth0", "up")
		b.ip("address", "add", b.address+"/24", "dev", "eth0")
	}
	first.start()
	first.claim()
	first.shows("mqtt://lintel.local:1883", "!http://", "!is called")
	second.finds("lintel.local")
	second.start()
	second.claim()
	second.shows("mqtt://lintel-2.local:1883", "Another machine on this network is called lintel.local, so this box is lintel-2.local",
		"{Lintel http://lintel.local:80}", "!{Lintel http://lintel-2.local:80}", "!{MQTT broker")
	first.shows("mqtt://lintel.local:1883", "{Lintel http://lintel-2.local:80}", "!{Lintel http://lintel.local:80}")
	if cu := second.pages("http://lintel-2.local"); cu != "" {
		t.Error(cu)
	}

	first.stop()
	second.shows("mqtt://lintel-2.local:1883", "!{Lintel")
	second.stop()
	second.start() // alone, and called as before
	second.shows("mqtt://lintel-2.local:1883", "!{Lintel")
	first.start()
	second.shows("mqtt://lintel-2.local:1883", "{Lintel http://lintel.local:80}")
	first.shows("mqtt://lintel.local:1883", "{Lintel http://lintel-2.local:80}")
}

// finds waits until somebody on the network answers for the host name.
func (b *networkBox) finds(name string) {
	b.t.Helper()
	b.eventually(func() error {
		var conn *net.UDPConn
		err := b.inside(func() (err error) {
			conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(b.address)})
			return err
		})
		if err != nil {
			return err
		}
		defer conn.Close()
		q, err := new(dns.Msg).SetQuestion(name+".", dns.TypeA).Pack()
		if err != nil {
			return err
		}
		if _, err := conn.WriteToUDP(q, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}); err != nil {
			return err
		}
		conn.SetReadDeadline(time.Now().Add(time.Second))
		_, _, err = conn.ReadFrom(make([]byte, 9000))
		return err
	})
}

// pages waits until the discovery document of the box names the URL.
func (b *networkBox) pages(want string) string {
	options := paho.NewClientOptions().AddBroker("tcp://" + b.address + ":1883").SetAutoReconnect(false)
	options.SetCustomOpenConnectionFn(func(u *url.URL, _ paho.ClientOptions) (net.Conn, error) { return b.dial("tcp", u.Host) })
	client := paho.NewClient(options)
	finish(b.t, client.Connect())
	defer client.Disconnect(0)
	documents := make(chan string, 100)
	finish(b.t, client.Subscribe("homeassistant/device/+/config", 0, func(_ paho.Client, m paho.Message) {
		select {
		case documents <- string(m.Payload()):
		default:
		}
	}))
	last, late := "", time.After(time.Minute)
	for {
		select {
		case d := <-documents:
			if strings.Contains(d, `"cu":"`+want+`"`) {
				return ""
			}
			last = d
		case <-late:
			return fmt.Sprintf("the discovery document does not name %s: %s", want, last)
		}
	}
}
