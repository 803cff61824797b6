package raw

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

var received = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// messages returns what was received, in order.
func messages(t testing.TB, r *drivertest.Recorder) []string {
	t.Helper()
	if r.Disorder != "" {
		t.Fatal(r.Disorder)
	}
	var all []string
	for _, reading := range r.Readings {
		all = append(all, string(reading.Values[keyReceived].([]byte)))
	}
	return all
}

func TestLines(t *testing.T) {
	for _, test := range []struct {
		name    string
		o       Options
		in      string
		want    []string
		tooLong int
	}{
		{name: "line feed", in: "one\ntwo\n", want: []string{"one", "two"}},
		{name: "carriage return and line feed", in: "one\r\ntwo\r\n", want: []string{"one", "two"}},
		{name: "no end", in: "one\ntw", want: []string{"one"}},
		{name: "empty lines", in: "\n\r\none\n\n", want: []string{"", "", "one", ""}},
		{name: "carriage returns elsewhere", in: "o\rne\r\r\n", want: []string{"o\rne\r"}},
		{name: "any bytes", in: "\x00\xff\xfe \n", want: []string{"\x00\xff\xfe "}},
		{name: "other delimiter", o: Options{Delimiter: ";"}, in: "one;\r\ntwo\r\n;", want: []string{"one", "\r\ntwo\r\n"}},
		{name: "carriage return alone", o: Options{Delimiter: "\r"}, in: "one\r\ntwo\r", want: []string{"one", "\ntwo"}},
		{name: "long delimiter", o: Options{Delimiter: "<END>"}, in: "one<EN<END>two<END><EN", want: []string{"one<EN", "two"}},
		{name: "delimiter that repeats itself", o: Options{Delimiter: "aab"}, in: "xaaabyaab", want: []string{"xa", "y"}},
		{name: "longest", o: Options{MaxLength: 4}, in: "four\nfour\r\n", want: []string{"four", "four"}},
		{name: "too long", o: Options{MaxLength: 4}, in: "12345\n1234567890\r\n12\n", want: []string{"1234", "1234", "12"}, tooLong: 2},
		{name: "too long by its carriage return", o: Options{MaxLength: 4}, in: "1234\r\r\n1\n", want: []string{"1234", "1"}, tooLong: 1},
		{name: "too long without end", o: Options{MaxLength: 4}, in: strings.Repeat("x", 1000), want: []string{"xxxx"}, tooLong: 1},
		{name: "too long with a long delimiter", o: Options{MaxLength: 4, Delimiter: "<END>"},
			in: "1234<END>12345<END>1234567890<END><END>1<END>", want: []string{"1234", "1234", "1234", "", "1"}, tooLong: 2},
		{name: "as long as a delimiter", o: Options{MaxLength: 1, Delimiter: "ab"}, in: "aab" + "ab" + "aaab" + "ab", want: []string{"a", "", "a", ""}, tooLong: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.o.Check(); err != nil {
				t.Fatal(err)
			}
			whole := &drivertest.Recorder{}
			Driver(test.o).NewDecoder(whole).Decode([]byte(test.in), received)
			if got := messages(t, whole); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if len(whole.Damage) != test.tooLong {
				t.Errorf("damaged %q", whole.Damage)
			}
			for i := range test.in {
				split := &drivertest.Recorder{}
				d := Driver(test.o).NewDecoder(split)
				d.Decode([]byte(test.in[:i]), received)
				d.Decode([]byte(test.in[i:]), received)
				if !reflect.DeepEqual(split, whole) {
					t.Fatalf("split at %d: %+v, whole: %+v", i, split, whole)
				}
			}
		})
	}
}

func TestFrames(t *testing.T) {
	const ms = time.Millisecond
	type piece struct {
		after time.Duration
		data  string
	}
	for _, test := range []struct {
		name    string
		o       Options
		in      []piece
		want    []string
		tooLong int
	}{
		{name: "gaps", in: []piece{{0, "one"}, {20 * ms, "two"}, {time.Hour, "three"}, {20 * ms, "…"}}, want: []string{"one", "two", "three"}},
		{name: "pieces", in: []piece{{0, "o"}, {19 * ms, "n"}, {19 * ms, "e"}, {20 * ms, "…"}}, want: []string{"one"}},
		{name: "line ends are nothing", in: []piece{{0, "one\r\n"}, {0, "two\n"}, {20 * ms, "…"}}, want: []string{"one\r\ntwo\n"}},
		{name: "own gap", o: Options{Gap: 5 * ms}, in: []piece{{0, "one"}, {5 * ms, "two"}, {4 * ms, "three"}, {5 * ms, "…"}}, want: []string{"one", "twothree"}},
		{name: "longest", o: Options{MaxLength: 4}, in: []piece{{0, "fo"}, {0, "ur"}, {20 * ms, "…"}}, want: []string{"four"}},
		{name: "too long", o: Options{MaxLength: 4}, in: []piece{{0, "12345"}, {ms, "678"}, {20 * ms, "1"}, {20 * ms, "…"}}, want: []string{"1234", "1"}, tooLong: 1},
		{name: "too long in pieces", o: Options{MaxLength: 4}, in: []piece{{0, "123"}, {ms, "456"}, {ms, "789"}, {20 * ms, "1"}, {20 * ms, ""}, {0, "…"}}, want: []string{"1234", "1"}, tooLong: 1},
		{name: "time that goes back", in: []piece{{0, "one"}, {-time.Hour, "two"}, {20 * ms, "…"}}, want: []string{"onetwo"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.o.Mode = Frames
			if err := test.o.Check(); err != nil {
				t.Fatal(err)
			}
			r := &drivertest.Recorder{}
			d := Driver(test.o).NewDecoder(r)
			now := received
			for _, p := range test.in {
				now = now.Add(p.after)
				d.Decode([]byte(p.data), now)
			}
			if got := messages(t, r); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if len(r.Damage) != test.tooLong {
				t.Errorf("damaged %q", r.Damage)
			}
			// A frame is of the time when its last byte came.
			if last := r.Readings[0].Time; test.name == "pieces" && last != received.Add(38*ms) {
				t.Errorf("time %v", last)
			}
		})
	}
}

func TestDevice(t *testing.T) {
	for _, test := range []struct {
		name, id string
		anon     bool
	}{
		{"", "raw", true},
		{"boiler-1", "boiler-1", false},
	} {
		r := &drivertest.Recorder{}
		d := Driver(Options{Name: test.name}).NewDecoder(r)
		if len(r.Announcements) != 0 {
			t.Error("announced before anything came")
		}
		d.Decode([]byte("a\nb\n"), received)
		want := serialbridge.Device{ID: test.id, Name: test.name, Anonymous: test.anon, WhenUsed: true, Properties: []serialbridge.Property{
			{Key: "received", Name: "Received", Kind: serialbridge.Raw},
			{Key: "send", Name: "Send", Kind: serialbridge.Raw},
		}}
		if test.anon {
			want.Name = "Raw"
		}
		if len(r.Announcements) != 1 || !reflect.DeepEqual(r.Announcements[0], want) || r.Disorder != "" {
			t.Errorf("announced %+v, want %+v", r.Announcements, want)
		}
	}
}
