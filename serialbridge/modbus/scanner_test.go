package modbus

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var heardAt = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// exchange is a question and its answer of testdata/exchanges.json.
type exchange struct {
	Source    string
	Req, Rsp  string
	Type      string
	Scale     float64
	Precision int
	Values    []any
	Malformed bool
	Exception exception
}

func (x exchange) bytes(t testing.TB) (req, rsp []byte) {
	t.Helper()
	return unhex(t, x.Req), unhex(t, x.Rsp)
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readExchanges(t testing.TB) []exchange {
	t.Helper()
	data, err := os.ReadFile("testdata/exchanges.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []exchange
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestCRC(t *testing.T) {
	for _, x := range readExchanges(t) {
		req, rsp := x.bytes(t)
		if !sealed(req) || !sealed(rsp) {
			t.Errorf("%s: CRC", x.Source)
		}
		if sealed(req[:len(req)-1]) || sealed(nil) || sealed([]byte{0xFF, 0xFF}) {
			t.Error("too short a frame has a CRC")
		}
	}
}

// events are what a scanner has heard, one a line.
type events struct{ lines []string }

func (e *events) scanner() *scanner {
	say := func(format string, args ...any) { e.lines = append(e.lines, fmt.Sprintf(format, args...)) }
	return &scanner{
		damaged:  func(reason string) { say("damaged %s", reason) },
		question: func(q request) { say("%d asked to %v", q.unit, q) },
		answer:   func(q request, data []byte, _ time.Time) { say("%d answers %x", q.unit, data) },
		refusal:  func(q request, e exception) { say("%d refuses to %v: %d", q.unit, q, e) },
		stray:    func(unit byte) { say("%d strays", unit) },
	}
}

func heard(data ...[]byte) []string {
	var e events
	s := e.scanner()
	s.scan(slices.Concat(data...), heardAt)
	s.flush()
	return e.lines
}

func TestExchanges(t *testing.T) {
	for _, x := range readExchanges(t) {
		req, rsp := x.bytes(t)
		if x.Malformed {
			// Its answer is one whose question is not known.
			if got := heard(rsp); !reflect.DeepEqual(got, []string{"10 strays"}) {
				t.Errorf("%s: %q", x.Source, got)
			}
			continue
		}
		q, length, ok := parseRequest(req)
		if !ok || length != len(req) || !slices.Equal(q.bytes(), req) {
			t.Errorf("%s: %+v, %d bytes, %v", x.Source, q, length, ok)
			continue
		}
		head, length := q.answerHead()
		if !slices.Equal(rsp[:len(head)], head) || length != len(rsp) {
			t.Errorf("%s: answer begins with %x and has %d bytes", x.Source, head, length)
		}
		got := heard(req, rsp)
		if len(got) != 2 || !strings.Contains(got[0], " asked to ") || !strings.Contains(got[1], " answers ") {
			t.Errorf("%s: %q", x.Source, got)
		}
		if x.Type == "" {
			continue
		}
		words := len(rsp[3:len(rsp)-2]) / 2 / len(x.Values)
		m := Map{Name: "test"}
		for i := range x.Values {
			r := Register{Key: fmt.Sprint("v", i), Name: "V", Function: "holding", Address: int(q.address) + i*words, Type: x.Type, Scale: x.Scale, Precision: x.Precision}
			if q.function == readInputRegisters {
				r.Function = "input"
			}
			if x.Type == "text" {
				r.Length = words
			}
			m.Registers = append(m.Registers, r)
		}
		table, wrong := m.compile()
		if len(wrong) > 0 {
			t.Fatal(wrong)
		}
		values := make(map[string]any)
		table.values(q, rsp[3:len(rsp)-2], values)
		for i, want := range x.Values {
			if got := values[fmt.Sprint("v", i)]; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %v, want %v", x.Source, got, want)
			}
		}
	}
}

// reading is an answer to a question for two input registers.
func reading(unit byte, function byte, registers ...uint16) []byte {
	b := []byte{unit, function, byte(2 * len(registers))}
	for _, r := range registers {
		b = append(b, byte(r>>8), byte(r))
	}
	return seal(b)
}

func asks(unit, function byte, address uint16, count int) []byte {
	return request{unit: unit, function: function, address: address, count: count}.bytes()
}

func TestScanner(t *testing.T) {
	var (
		ask      = asks(1, readInputRegisters, 0, 2)
		answers  = reading(1, readInputRegisters, 0x4366, 0x3334)
		asked    = "1 asked to read input registers 0 to 1"
		answered = "1 answers 43663334"
	)
	wrong := slices.Clone(answers)
	wrong[4] ^= 1
	coils := seal([]byte{1, readCoils, 1, 0x05})
	for _, test := range []struct {
		name string
		data [][]byte
		want []string
	}{
		{"twice", [][]byte{ask, answers, ask, answers}, []string{asked, answered, asked, answered}},
		{"no answer", [][]byte{ask, ask, answers}, []string{asked, asked, answered}},
		{"refused", [][]byte{ask, seal([]byte{1, 0x84, 2})}, []string{asked, "1 refuses to read input registers 0 to 1: 2"}},
		{"wrong CRC", [][]byte{ask, wrong, ask, answers}, []string{asked, "damaged checksum", asked, answered}},
		{"half an answer", [][]byte{ask, answers[:5]}, []string{asked, "damaged short"}},
		{"half a question", [][]byte{ask[:5], ask, answers}, []string{"damaged checksum", asked, answered}},
		{"a glitch between", [][]byte{ask, {0}, answers}, []string{asked, "damaged noise", answered}},
		{"much noise between", [][]byte{ask, {0, 0xFF, 0, 0xFF}, answers}, []string{asked, "damaged noise", "1 strays"}},
		{"a damaged question between", [][]byte{ask, asks(1, 4, 72, 2)[:7], {0}, answers}, []string{asked, "damaged checksum", "1 strays"}},
		{"noise before", [][]byte{{0xAA, 0x55, 1}, ask, answers}, []string{"damaged noise", asked, answered}},
		{"an answer alone", [][]byte{answers}, []string{"1 strays"}},
		{"a refusal alone", [][]byte{seal([]byte{1, 0x84, 2})}, []string{"1 strays"}},
		{"of another unit", [][]byte{ask, reading(2, readInputRegisters, 1, 2)}, []string{asked, "2 strays"}},
		{"of another length", [][]byte{ask, reading(1, readInputRegisters, 1, 2, 3)}, []string{asked, "1 strays"}},
		{"of another function", [][]byte{ask, reading(1, readHoldingRegisters, 1, 2)}, []string{asked, "1 strays"}},
		{"coils", [][]byte{asks(1, readCoils, 19, 3), coils}, []string{"1 asked to read coils 19 to 21", "1 answers 05"}},
		{"a coil is written", [][]byte{unhex(t, "010500acff004c1b"), unhex(t, "010500acff004c1b")}, []string{"1 asked to write coil 172", "1 answers "}},
		{"a register is written", [][]byte{unhex(t, "1106000100039a9b"), unhex(t, "1106000100039a9b")}, []string{"17 asked to write holding register 1", "17 answers "}},
		{"several coils are written", [][]byte{unhex(t, "110f0013000a02cd01bf0b"), unhex(t, "110f0013000a2699")}, []string{"17 asked to write coils 19 to 28", "17 answers "}},
		{"all are told", [][]byte{seal([]byte{0, 6, 0, 1, 0, 3}), answers}, []string{"0 asked to write holding register 1", "1 strays"}},
		{"to ask all is not possible", [][]byte{seal([]byte{0, 4, 0, 0, 0, 2})}, []string{"damaged noise"}},
		{"too many registers", [][]byte{seal([]byte{1, 4, 0, 0, 0, 126})}, []string{"damaged noise"}},
		{"an unknown function", [][]byte{seal([]byte{1, 8, 0, 0, 0xAA, 0x55}), ask, answers}, []string{"damaged noise", asked, answered}},
		{"an answer that seems long", [][]byte{{1, 3, 0xFA}, ask, answers}, []string{"damaged noise", asked, answered}},
		{"text", [][]byte{[]byte("20;00;Nodo RadioFrequencyLink;\r\n"), ask, answers}, []string{"damaged noise", asked, answered}},
		{"nothing", nil, nil},
	} {
		if got := heard(test.data...); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		// The pieces do not matter.
		data := slices.Concat(test.data...)
		for i := range data {
			var e events
			s := e.scanner()
			s.scan(data[:i], heardAt)
			s.scan(data[i:], heardAt)
			s.flush()
			if !reflect.DeepEqual(e.lines, test.want) {
				t.Errorf("%s, cut at %d: %q, want %q", test.name, i, e.lines, test.want)
			}
		}
	}
}

func TestScannerTimes(t *testing.T) {
	ask, answers := asks(1, readInputRegisters, 0, 2), reading(1, readInputRegisters, 1, 2)
	for _, test := range []struct {
		name  string
		after time.Duration
		first []byte
		then  []byte
		want  []string
	}{
		{"a slow converter", 20 * time.Millisecond, slices.Concat(ask, answers[:4]), answers[4:], []string{"1 asked to read input registers 0 to 1", "1 answers 00010002"}},
		{"a pause in a frame", time.Second, slices.Concat(ask, answers[:4]), answers, []string{"1 asked to read input registers 0 to 1", "damaged short", "1 strays"}},
		{"a slow unit", 4 * time.Second, ask, answers, []string{"1 asked to read input registers 0 to 1", "1 answers 00010002"}},
		{"too slow a unit", 6 * time.Second, ask, answers, []string{"1 asked to read input registers 0 to 1", "1 strays"}},
		{"noise that seems long", time.Second, []byte{1, 3, 0xFA, 1, 2}, ask, []string{"damaged short", "1 asked to read input registers 0 to 1"}},
	} {
		var e events
		s := e.scanner()
		s.scan(test.first, heardAt)
		s.scan(test.then, heardAt.Add(test.after))
		s.flush()
		if !reflect.DeepEqual(e.lines, test.want) {
			t.Errorf("%s: %q, want %q", test.name, e.lines, test.want)
		}
	}
}

func TestExceptionsInWords(t *testing.T) {
	seen := make(map[string]bool)
	for e := range exception(13) {
		s := e.String()
		if s == "" || seen[s] {
			t.Errorf("exception %d is %q", e, s)
		}
		seen[s] = true
	}
	if !illegalDataAddress.lasting() || exception(6).lasting() {
		t.Error("wrong ones last")
	}
}
