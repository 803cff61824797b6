package textlines

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"

	"lintel/serialbridge/drivertest"
)

type recorder = drivertest.Recorder

var received = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// parse reads options as a person writes them.
func parseOptions(t testing.TB, text string) Options {
	t.Helper()
	var o Options
	meta, err := toml.Decode(text, &o)
	if err != nil {
		t.Fatal(err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		t.Fatalf("unknown keys %v", unknown)
	}
	return o
}

// right reads options that must be right.
func right(t testing.TB, text string) Options {
	t.Helper()
	o := parseOptions(t, text)
	if err := o.Check(); err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	return o
}

// decode feeds pieces to a new decoder.
func decode(t testing.TB, o Options, pieces ...string) *recorder {
	t.Helper()
	r := &recorder{}
	drivertest.Decode(t, r, Driver(o).NewDecoder(r), received, pieces)
	return r
}

// said returns what a recorder was told, a line for each reading.
func said(r *recorder) string {
	var b strings.Builder
	for _, reading := range r.Readings {
		values, err := json.Marshal(reading.Values)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(&b, "%s %s\n", reading.Device, values)
	}
	for _, reason := range r.Damage {
		fmt.Fprintf(&b, "damaged: %s\n", reason)
	}
	for _, reason := range r.Overheard {
		fmt.Fprintf(&b, "ignored: %s\n", reason)
	}
	return b.String()
}

// A board is a case in testdata: options, what came, and what is made of it.
type board struct {
	name          string
	options       Options
	capture, want string
}

func readBoards(t testing.TB) []board {
	t.Helper()
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	var boards []board
	for _, file := range files {
		base := strings.TrimSuffix(file, ".toml")
		read := func(path string) string {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return string(data)
		}
		boards = append(boards, board{filepath.Base(base), right(t, read(file)), read(base + ".txt"), read(base + ".want")})
	}
	return boards
}

func TestBoards(t *testing.T) {
	for _, b := range readBoards(t) {
		r := decode(t, b.options, b.capture)
		if got := said(r); got != b.want {
			t.Errorf("%s: got\n%swant\n%s", b.name, got, b.want)
		}
		if len(r.Announcements) != len(r.Devices) {
			t.Errorf("%s: %d announcements of %d devices", b.name, len(r.Announcements), len(r.Devices))
		}

		// The pieces do not matter.
		if bytes := decode(t, b.options, strings.Split(b.capture, "")...); !reflect.DeepEqual(bytes, r) {
			t.Errorf("%s: byte by byte\n%s", b.name, said(bytes))
		}
		for i := range b.capture {
			if cut := decode(t, b.options, b.capture[:i], b.capture[i:]); !reflect.DeepEqual(cut, r) {
				t.Errorf("%s: cut at %d\n%s", b.name, i, said(cut))
			}
		}
	}
}
