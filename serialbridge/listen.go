package serialbridge

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// maxHeard bounds what is kept while listening.
const maxHeard = 256

// finding is what listening has found. It holds as long as the stick is there.
type finding struct {
	driver *Driver
	line   Line
}

// probe is the Sink of a decoder that is only being tried. It keeps what it is
// told, so that nothing of the first frames is lost.
type probe struct {
	finding
	decoder  Decoder
	need     int // valid frames, without damage in between
	now      time.Time
	found    bool
	frames   int
	last     time.Time      // of the last frame
	readings map[string]int // since the last damage, by device
	total    int
	heard    []any // Device, gone, Reading, ignored and remembered
	recall   func() map[string]string
	live     Sink // where it all goes once the probe has won
}

func (p *probe) Device(d Device) {
	if p.live != nil {
		p.live.Device(d)
		return
	}
	p.keep(d)
}

func (p *probe) Gone(device string) {
	if p.live != nil {
		p.live.Gone(device)
		return
	}
	p.keep(gone(device))
}

// gone is the ID of a device that is withdrawn.
type gone string

func (p *probe) Reading(r Reading) {
	if p.live != nil {
		p.live.Reading(r)
		return
	}
	p.keep(r)
	// One frame may hold readings of several devices, but hardly two of one.
	if len(p.readings) < maxHeard {
		p.readings[r.Device]++
	}
	p.valid(p.readings[r.Device])
}

// valid notes a valid frame: bytes that come together may be one frame in which
// there is much, or several, of which same is told.
func (p *probe) valid(same int) {
	p.total++
	if p.now != p.last {
		p.last = p.now
		p.frames++
	}
	if max(p.frames, same) >= p.need {
		p.found = true
	}
}

func (p *probe) Damaged(reason string) {
	if p.live != nil {
		p.live.Damaged(reason)
		return
	}
	clear(p.readings)
	p.frames = 0
}

func (p *probe) Ignored(reason string) {
	if p.live != nil {
		p.live.Ignored(reason)
		return
	}
	p.keep(ignored(reason))
	p.valid(0)
}

// ignored is why nothing could be made of a frame.
type ignored string

func (p *probe) Recall() map[string]string { return p.recall() }

func (p *probe) Remember(key, value string) {
	if p.live != nil {
		p.live.Remember(key, value)
		return
	}
	p.keep(remembered{key, value})
}

// remembered is what a decoder wants to be kept.
type remembered struct{ key, value string }

func (p *probe) keep(said any) {
	if len(p.heard) < maxHeard {
		p.heard = append(p.heard, said)
	}
}

// forward passes on what was heard, and from now on everything.
func (p *probe) forward(live Sink) {
	for _, said := range p.heard {
		switch said := said.(type) {
		case Device:
			live.Device(said)
		case gone:
			live.Gone(string(said))
		case Reading:
			live.Reading(said)
		case ignored:
			live.Ignored(string(said))
		case remembered:
			live.Remember(said.key, said.value)
		}
	}
	p.heard, p.live = nil, live
}

// listen goes through the settings of the drivers' lines, over and over, until a
// decoder finds valid frames. It sends nothing: what is at the other end
// is not known.
func (st *stick) listen(port deadlinePort, drivers []*Driver, certain bool) (*probe, error) {
	need := 2
	if certain {
		need = 1 // only the line is in question
	}
	lines := linesOf(drivers)
	var settings []string
	for _, l := range lines {
		settings = append(settings, l.String())
	}
	st.s.mu.Lock()
	st.protocol = ""
	st.s.mu.Unlock()
	for {
		for _, line := range lines {
			var probes []*probe
			var names []string
			for _, d := range drivers {
				if slices.Contains(d.Lines, line) {
					p := &probe{finding: finding{d, line}, need: need, readings: make(map[string]int),
						recall: func() map[string]string { return st.s.memory.recall(st.memoryOf(d)) }}
					p.decoder = d.NewDecoder(p)
					probes = append(probes, p)
					names = append(names, d.Protocol)
				}
			}
			st.tell(Listening, fmt.Sprintf("listening for %s at %v", strings.Join(names, ", "), line), "")
			if p, err := st.listenAt(port, line, probes); p != nil || err != nil {
				return p, err
			}
		}
		st.tell(Listening, "", fmt.Sprintf("nothing known was heard at %s: check the cable at the far end, "+
			"whether the device's port has to be enabled, or set the protocol", strings.Join(settings, ", ")))
	}
}

// listenAt listens at one setting. It returns nil if nobody recognised anything.
func (st *stick) listenAt(port deadlinePort, line Line, probes []*probe) (*probe, error) {
	if err := port.SetLine(line); err != nil {
		return nil, err
	}
	start := time.Now()
	end := start.Add(st.s.t.listen)
	buf := make([]byte, 4096)
	for time.Now().Before(end) {
		port.SetReadDeadline(end)
		n, err := port.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return nil, err
		}
		now := time.Now()
		for _, p := range probes {
			before := p.total
			p.now = now
			p.decoder.Decode(buf[:n], now)
			if p.found {
				port.SetReadDeadline(time.Time{})
				return p, nil
			}
			if p.total > before {
				end = now.Add(st.s.t.listenMore)
			}
		}
		if limit := start.Add(st.s.t.listenMax); end.After(limit) {
			end = limit
		}
	}
	return nil, nil
}

// linesOf returns the lines of all drivers, each once: first what the drivers
// think likeliest, then their second choices, and so on.
func linesOf(drivers []*Driver) []Line {
	var lines []Line
	for i, more := 0, true; more; i++ {
		more = false
		for _, d := range drivers {
			if i < len(d.Lines) {
				more = true
				if !slices.Contains(lines, d.Lines[i]) {
					lines = append(lines, d.Lines[i])
				}
			}
		}
	}
	return lines
}
