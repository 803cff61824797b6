package modbus

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
)

// tableOf compiles a map with one register at address 0.
func tableOf(t testing.TB, r Register) *table {
	t.Helper()
	if r.Key == "" && len(r.Bits) == 0 {
		r.Key, r.Name = "v", "V"
	}
	if r.Function == "" {
		r.Function = "holding"
	}
	table, wrong := Map{Name: "test", Registers: []Register{r}}.compile()
	if len(wrong) > 0 {
		t.Fatalf("%+v: %v", r, wrong)
	}
	return table
}

func TestValues(t *testing.T) {
	options := []Option{{0, "off"}, {1, "on"}, {0x8000, "broken"}}
	for _, test := range []struct {
		register Register
		data     string
		want     any
	}{
		{Register{Type: "u16"}, "ffff", int64(65535)},
		{Register{Type: "u16", Scale: 0.1}, "0898", 220.0},
		{Register{Type: "u16", Scale: 0.1}, "0899", 220.1},
		{Register{Type: "u16", Scale: 0.001}, "0001", 0.001},
		{Register{Type: "u16", Scale: 10}, "0007", int64(70)},
		{Register{Type: "u16", Invalid: []int64{0xFFFF}}, "ffff", nil},
		{Register{Type: "u16", Mask: 0xFF}, "0103", int64(3)},
		{Register{Type: "i16"}, "ffff", int64(-1)},
		{Register{Type: "i16", Scale: 0.1}, "ff9d", -9.9},
		{Register{Type: "i16", Absolute: true}, "ff9d", int64(99)},
		{Register{Type: "u32"}, "00010002", int64(65538)},
		{Register{Type: "u32", Words: "little"}, "00020001", int64(65538)},
		{Register{Type: "u32", Scale: 0.001}, "ffffffff", 4294967.295},
		{Register{Type: "i32"}, "fffffffe", int64(-2)},
		{Register{Type: "i32", Words: "little", Scale: 0.01}, "fffeffff", -0.02},
		{Register{Type: "i32", Invalid: []int64{math.MaxInt32}}, "7fffffff", nil},
		{Register{Type: "u64"}, "0000000100000000", int64(1 << 32)},
		{Register{Type: "u64"}, "ffffffffffffffff", float64(math.MaxUint64)},
		{Register{Type: "i64"}, "fffffffffffffffd", int64(-3)},
		{Register{Type: "i64", Words: "little", Scale: 0.1}, "0003000000000000", 0.3},
		{Register{Type: "float32"}, "43663333", 230.2},
		{Register{Type: "float32", Precision: 1}, "43663334", 230.2},
		{Register{Type: "float32", Words: "little"}, "33334366", 230.2},
		{Register{Type: "float32", Scale: 0.1}, "450fd800", 230.15},
		{Register{Type: "float32"}, "80000000", 0.0},
		{Register{Type: "float32"}, "7fc00000", nil},
		{Register{Type: "float32"}, "ff800000", nil},
		{Register{Type: "float32"}, "00000001", 1e-45},
		{Register{Type: "float32"}, "7f7fffff", 3.4028235e38},
		{Register{Type: "text", Length: 3}, "4142 4320 0044", "ABC"},
		{Register{Type: "text", Length: 2}, "ffff 0a41", "A"},
		{Register{Type: "u16", Options: options}, "0001", "on"},
		{Register{Type: "u16", Options: options}, "8000", "broken"},
		{Register{Type: "u16", Options: options}, "0007", nil},
		{Register{Type: "u16", Kind: "binary"}, "ffff", true},
		{Register{Type: "u16", Kind: "binary"}, "0000", false},
		{Register{Function: "discrete"}, "01", true},
		{Register{Function: "coil"}, "00", false},
	} {
		table := tableOf(t, test.register)
		r := table.registers[0]
		values := make(map[string]any)
		table.values(request{function: r.read, count: r.words}, unhex(t, test.data), values)
		got, ok := values["v"]
		if !ok || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%+v %s: %v %T, want %v", test.register, test.data, got, got, test.want)
		}
		if _, err := json.Marshal(got); err != nil {
			t.Error(err)
		}
	}
}

func TestBits(t *testing.T) {
	table := tableOf(t, Register{Type: "u16", Bits: []Bit{{Bit: 0, Key: "a", Name: "A"}, {Bit: 15, Key: "b", Name: "B", Class: "problem"}}})
	values := make(map[string]any)
	table.values(request{function: readHoldingRegisters, count: 1}, []byte{0x80, 0}, values)
	if want := map[string]any{"a": false, "b": true}; !reflect.DeepEqual(values, want) {
		t.Errorf("%v, want %v", values, want)
	}
}

// TestParts looks at which registers an answer is of.
func TestParts(t *testing.T) {
	table, wrong := Map{Name: "test", Function: "input", Type: "u32", Registers: []Register{
		{Key: "a", Name: "A", Address: 10}, {Key: "b", Name: "B", Address: 12}, {Key: "c", Name: "C", Address: 12, Function: "holding"},
		{Key: "d", Name: "D", Function: "coil", Address: 9}, {Key: "e", Name: "E", Function: "coil", Address: 18},
	}}.compile()
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	for _, test := range []struct {
		q    request
		data string
		want map[string]any
	}{
		{request{function: 4, address: 10, count: 4}, "0000000100000002", map[string]any{"a": int64(1), "b": int64(2)}},
		{request{function: 4, address: 9, count: 4}, "0007000000010000", map[string]any{"a": int64(1)}},
		{request{function: 4, address: 11, count: 3}, "000000000002", map[string]any{"b": int64(2)}},
		{request{function: 3, address: 12, count: 2}, "00000003", map[string]any{"c": int64(3)}},
		{request{function: 1, address: 9, count: 10}, "0102", map[string]any{"d": true, "e": true}},
		{request{function: 1, address: 10, count: 9}, "fe01", map[string]any{"e": true}},
		{request{function: 2, address: 9, count: 10}, "0102", map[string]any{}},
		{request{function: 4, address: 14, count: 2}, "00000001", map[string]any{}},
	} {
		values := make(map[string]any)
		found := table.values(test.q, unhex(t, test.data), values)
		if !reflect.DeepEqual(values, test.want) || found != (len(values) > 0) {
			t.Errorf("%v: %v, %v, want %v", test.q, values, found, test.want)
		}
	}
}

func TestWrite(t *testing.T) {
	for _, test := range []struct {
		register Register
		value    any
		multiple bool
		want     string // the request without CRC; empty: not possible
	}{
		{Register{Function: "coil", Writable: true}, true, false, "07 05 0000 ff00"},
		{Register{Function: "coil", Writable: true}, false, false, "07 05 0000 0000"},
		{Register{Function: "coil", Writable: true}, true, true, "07 0f 0000 0001 01 01"},
		{Register{Function: "coil", Writable: true}, 1.0, false, ""},
		{Register{Type: "u16", Kind: "switch", Writable: true}, true, false, "07 06 0000 0001"},
		{Register{Type: "u16", Writable: true, Max: 100}, 50.0, false, "07 06 0000 0032"},
		{Register{Type: "u16", Writable: true, Max: 100}, 50.0, true, "07 10 0000 0001 02 0032"},
		{Register{Type: "u16", Writable: true, Max: 100}, 100.5, false, ""},
		{Register{Type: "u16", Writable: true, Max: 100}, math.NaN(), false, ""},
		{Register{Type: "u16", Writable: true, Max: 100}, "50", false, ""},
		{Register{Type: "u16", Writable: true, Max: 100}, true, false, ""},
		{Register{Type: "u16", Scale: 0.1, Writable: true, Max: 100}, 20.1, false, "07 06 0000 00c9"},
		{Register{Type: "u16", Scale: 0.1, Writable: true, Max: 100}, 20.16, false, "07 06 0000 00ca"},
		{Register{Type: "i16", Scale: 0.1, Writable: true, Min: -30, Max: 100}, -20.1, false, "07 06 0000 ff37"},
		{Register{Type: "i16", Writable: true, Min: -32768, Max: 32767}, -32768.0, false, "07 06 0000 8000"},
		{Register{Type: "u32", Writable: true, Max: 1e6}, 65538.0, false, "07 10 0000 0002 04 00010002"},
		{Register{Type: "u32", Words: "little", Writable: true, Max: 1e6}, 65538.0, false, "07 10 0000 0002 04 00020001"},
		{Register{Type: "i64", Writable: true, Min: -5, Max: 5}, -2.0, false, "07 10 0000 0004 08 fffffffffffffffe"},
		{Register{Type: "float32", Writable: true, Max: 400}, 230.2, false, "07 10 0000 0002 04 43663333"},
		{Register{Type: "float32", Scale: 0.1, Writable: true, Max: 400}, 230.15, false, "07 10 0000 0002 04 450fd800"},
		{Register{Type: "u16", Writable: true, Options: []Option{{3, "eco"}, {4, "party"}}}, "party", false, "07 06 0000 0004"},
		{Register{Type: "u16", Writable: true, Options: []Option{{3, "eco"}}}, "party", false, ""},
		{Register{Type: "i16", Writable: true, Options: []Option{{-1, "eco"}}}, "eco", false, "07 06 0000 ffff"},
		{Register{Type: "u16"}, 1.0, false, ""},
	} {
		r := tableOf(t, test.register).registers[0]
		q, ok := r.write(7, test.value, test.multiple)
		if ok != (test.want != "") {
			t.Errorf("%+v %v: %v", test.register, test.value, ok)
		}
		if ok && !slices.Equal(q.bytes(), seal(unhex(t, test.want))) {
			t.Errorf("%+v %v: %x, want %s", test.register, test.value, q.bytes(), test.want)
		}
		if ok {
			parsed, length, valid := parseRequest(q.bytes())
			if !valid || length != len(q.bytes()) || !parsed.equal(q) {
				t.Errorf("%v is read as %+v", q, parsed)
			}
		}
	}
}

// TestScales prints all hundredths and thousandths as they are.
func TestScales(t *testing.T) {
	for _, scale := range []struct {
		factor float64
		digits int
	}{{0.1, 1}, {0.01, 2}, {0.001, 3}} {
		r := tableOf(t, Register{Type: "u16", Scale: scale.factor}).registers[0]
		if r.property.Precision != scale.digits {
			t.Errorf("%v: precision %d", scale.factor, r.property.Precision)
		}
		unit := 1
		for range scale.digits {
			unit *= 10
		}
		for n := 0; n < 1<<16; n += 7 {
			got, _ := r.scaled(int64(n)).(float64)
			if want := fmt.Sprintf("%d.%0*d", n/unit, scale.digits, n%unit); fmt.Sprintf("%.*f", scale.digits, got) != want || got != float64(n)/float64(unit) {
				t.Fatalf("%d times %v is %v", n, scale.factor, got)
			}
		}
	}
}
