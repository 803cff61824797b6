package dsmr

import (
	"slices"
	"strings"
	"testing"

	"lintel/serialbridge"
)

func TestCheck(t *testing.T) {
	good := strings.Repeat("0A", 16)
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{}, ""},
		{Options{Keys: map[string]string{"": good}}, ""},
		{Options{Keys: map[string]string{"x": "0a 0a 0a 0a 0a 0a 0a 0a-0a0a0a0a:0A0A0A0A"}}, ""},
		{Options{Keys: map[string]string{"x": good}, AuthenticationKeys: map[string]string{"x": good}}, ""},
		{Options{Keys: map[string]string{"x": good[1:]}}, `keys: "x": a key has 32 hexadecimal digits, this one has 31 characters`},
		{Options{Keys: map[string]string{"x": ""}}, `keys: "x": a key has 32 hexadecimal digits, this one has 0 characters`},
		{Options{Keys: map[string]string{"x": "G" + good[1:]}}, `keys: "x": a key has only digits and the letters A to F`},
		{Options{Keys: map[string]string{"": good}, AuthenticationKeys: map[string]string{"": "1"}},
			`authentication_keys: "": a key has 32 hexadecimal digits, this one has 1 characters`},
		{Options{AuthenticationKeys: map[string]string{"x": good}},
			`authentication_keys: "x": there is no encryption key of that name in keys: set it, too`},
	} {
		got := ""
		if err := test.o.Check(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%v: %q, want %q", test.o, got, test.want)
		}
		if test.want != "" { // a driver of what was not checked knows no such key
			Driver(test.o).NewDecoder(&recorder{}).Decode([]byte("x"), received)
		}
	}
}

// Who has set a key has a meter that speaks at one setting only.
func TestLinesOfSealed(t *testing.T) {
	frames, _ := readSealed(t)
	want := []serialbridge.Line{{Baud: 115200, DataBits: 8, Parity: 'N', StopBits: 1}}
	if got := Driver(frames[0].options()).Lines; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
