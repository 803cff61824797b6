package mdns

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// need skips the test, or fails it where everything is to be tested.
func need(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("LINTEL_NEED_ALL") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func needNamespaces(t *testing.T, programs ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		need(t, "needs root to make network namespaces")
	}
	for _, p := range append(programs, "ip") {
		if _, err := exec.LookPath(p); err != nil {
			need(t, "needs the program %s (Debian packages iproute2, avahi-daemon, avahi-utils, dbus): %v", p, err)
		}
	}
}

func run(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// A namespace is a network namespace that plays one machine.
type namespace struct {
	t    *testing.T
	name string
	env  []string // set by startAvahi, for its clients
}

// newNamespace makes a namespace without any way out.
func newNamespace(t *testing.T, name string) *namespace {
	t.Helper()
	n := &namespace{t: t, name: fmt.Sprintf("%s%d-%s", strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")), os.Getpid(), name)}
	if out, err := exec.Command("ip", "netns", "add", n.name).CombinedOutput(); err != nil {
		need(t, "cannot make a network namespace: %v: %s", err, out)
	}
	t.Cleanup(func() { exec.Command("ip", "netns", "del", n.name).Run() })
	n.run("ip", "link", "set", "lo", "up")
	// Duplicate address detection takes two seconds and would find nothing.
	n.run("sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad; echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad")
	return n
}

// connect lays a cable between two namespaces.
func connect(a *namespace, ifaceA string, b *namespace, ifaceB string) {
	a.t.Helper()
	run(a.t, "ip", "link", "add", "netns", a.name, "name", ifaceA, "type", "veth", "peer", "netns", b.name, "name", ifaceB)
	a.run("ip", "link", "set", ifaceA, "up")
	b.run("ip", "link", "set", ifaceB, "up")
}

func (n *namespace) run(args ...string) {
	n.t.Helper()
	run(n.t, append([]string{"ip", "netns", "exec", n.name}, args...)...)
}

func (n *namespace) address(iface string, addrs ...string) {
	n.t.Helper()
	for _, a := range addrs {
		n.run("ip", "address", "add", a, "dev", iface)
	}
}

// output runs a program, such as an avahi client, and returns what it printed.
func (n *namespace) output(args ...string) string {
	ctx, cancel := context.WithTimeout(n.t.Context(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", n.name}, args...)...)
	cmd.Env = append(os.Environ(), n.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s%v", out, err)
	}
	return string(out)
}

// do runs f in the namespace. Its thread is not used again.
func (n *namespace) do(f func() error) {
	n.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		file, err := os.Open(filepath.Join("/run/netns", n.name))
		if err == nil {
			err = errors.Join(unix.Setns(int(file.Fd()), unix.CLONE_NEWNET), file.Close())
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		n.t.Fatal(err)
	}
}

// socket opens a socket that speaks on the interface with the given index.
func (n *namespace) socket(name string) (s *socket, index int) {
	n.t.Helper()
	n.do(func() error {
		iface, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		if s, err = listen4(); err != nil {
			return err
		}
		index = iface.Index
		return s.join(iface, net.UDPAddrFromAddrPort(group4))
	})
	return s, index
}

// A process runs in a namespace until the end of the test.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // of standard output
	once  sync.Once
	err   error
}

// start starts a program with the lines of its standard output, or of both
// outputs, on a channel.
func (n *namespace) start(both bool, env []string, args ...string) *process {
	n.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		n.t.Fatal(err)
	}
	var log bytes.Buffer
	p := &process{t: n.t, lines: make(chan string, 1000)}
	p.cmd = exec.Command("ip", append([]string{"netns", "exec", n.name}, args...)...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = w, &log
	if both {
		p.cmd.Stderr = w
	}
	if err := p.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	w.Close()
	go func() {
		defer close(p.lines)
		defer r.Close()
		for s := bufio.NewScanner(r); s.Scan(); {
			if both {
				fmt.Fprintln(&log, s.Text())
			}
			select {
			case p.lines <- s.Text():
			default: // nobody reads any more
			}
		}
		io.Copy(io.Discard, r)
	}()
	n.t.Cleanup(func() {
		p.stop()
		if n.t.Failed() {
			n.t.Logf("%s in %s:\n%s", args, n.name, log.String())
		}
	})
	return p
}

// stop asks the program to end and waits until it has.
func (p *process) stop() error {
	p.once.Do(func() {
		p.cmd.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(20*time.Second, func() { p.cmd.Process.Kill() })
		p.err = p.cmd.Wait()
		timer.Stop()
		for range p.lines { // until the log is complete
		}
	})
	return p.err
}

// line waits for a line that has the text in it.
func (p *process) line(text string) string {
	p.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case l, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("%s ended before printing %q", p.cmd, text)
			}
			if strings.Contains(l, text) {
				return l
			}
		case <-deadline:
			p.t.Fatalf("%s did not print %q", p.cmd, text)
		}
	}
}

// until waits for a line that is right.
func (p *process) until(what string, right func(line string) bool) {
	p.t.Helper()
	deadline := time.After(3 * time.Minute) // an address holds for two
	for last := ""; ; {
		select {
		case l, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("%s ended before %s; the last line was %s", p.cmd, what, last)
			}
			if right(l) {
				return
			}
			last = l
		case <-deadline:
			p.t.Fatalf("%s did not show %s; the last line was %s", p.cmd, what, last)
		}
	}
}

// A view is what one of several browsers shows: ours or python-zeroconf's.
type view struct {
	*process
	name string
}

type views []view

// startBrowsers runs our browser and python-zeroconf's in the namespace.
func (n *namespace) startBrowsers(types ...string) views {
	n.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		n.t.Fatal(err)
	}
	return views{
		{n.start(false, []string{childTypes + "=" + strings.Join(types, " ")}, exe), "Browser"},
		{n.startPython("browse.py", types...), "python-zeroconf"},
	}
}

// startPython runs a program of testdata with the Python that has zeroconf.
func (n *namespace) startPython(program string, args ...string) *process {
	n.t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} { // Debian's may be hidden behind another
		if exec.Command(python, "-c", "import zeroconf").Run() == nil {
			return n.start(false, nil, append([]string{python, filepath.Join("testdata", program)}, args...)...)
		}
	}
	need(n.t, "needs the Debian package python3-zeroconf")
	return nil
}

// show waits until each view has all of the texts in a line, and none of those that
// begin with a "!".
func (vs views) show(texts ...string) {
	for _, v := range vs {
		v.t.Helper()
		v.show(texts...)
	}
}

func (v view) show(texts ...string) {
	v.t.Helper()
	v.until(fmt.Sprintf("%q in %s", texts, v.name), func(line string) bool {
		for _, text := range texts {
			text, not := strings.CutPrefix(text, "!")
			if strings.Contains(line, text) == not {
				return false
			}
		}
		return true
	})
}

// startAdvertiser runs an Advertiser in the namespace.
func (n *namespace) startAdvertiser(opt Options) *process {
	n.t.Helper()
	text, err := json.Marshal(struct { // what can be written of Options
		Host     string
		Services []Service
		Renamed  map[string]string
	}{opt.Host, opt.Services, opt.Renamed})
	if err != nil {
		n.t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		n.t.Fatal(err)
	}
	return n.start(false, []string{childOptions + "=" + string(text)}, exe)
}

// startAvahi runs an avahi-daemon with a message bus of its own in the
// namespace. avahi's folder below /run is fixed, so it gets a /run of its own:
// "ip netns exec" gives each program a private mount namespace.
func (n *namespace) startAvahi(host string) {
	n.t.Helper()
	dir, err := os.MkdirTemp("", "mdns") // t.TempDir is too long for a socket path
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { os.RemoveAll(dir) })
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			n.t.Fatal(err)
		}
		return file
	}
	bus := "unix:path=" + filepath.Join(dir, "bus")
	busConf := write("bus.conf", `<busconfig>
  <type>system</type>
  <listen>`+bus+`</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>`)
	avahiConf := write("avahi.conf", `[server]
host-name=`+host+`
use-ipv4=yes
use-ipv6=yes
[publish]
publish-workstation=no
[rlimits]
`)
	n.start(true, nil, "dbus-daemon", "--config-file="+busConf, "--nofork", "--nopidfile", "--print-address=1").line("unix:")
	n.env = []string{"DBUS_SYSTEM_BUS_ADDRESS=" + bus}
	n.start(true, n.env, "sh", "-c",
		"mount -t tmpfs none /run && mkdir /run/avahi-daemon && exec avahi-daemon --no-drop-root --no-rlimits --no-chroot -f "+avahiConf,
	).line("Server startup complete")
}

// eventually repeats the check until it passes.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(100 * time.Millisecond)
	}
}
