package teleinfo

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lintel/serialbridge/drivertest"
)

// enclose makes a frame of groups that have their checksums.
func enclose(groups ...string) []byte {
	return []byte("\x02\n" + strings.Join(groups, "\r\n") + "\r\x03")
}

// historicFrame and standardFrame make a frame of groups without checksums.
func historicFrame(groups ...string) []byte {
	var with []string
	for _, g := range groups {
		with = append(with, g+" "+string(rune(checksum([]byte(g)))))
	}
	return enclose(with...)
}

func standardFrame(groups ...string) []byte {
	var with []string
	for _, g := range groups {
		g = strings.ReplaceAll(g, "|", "\t") + "\t"
		with = append(with, g+string(rune(checksum([]byte(g)))))
	}
	return enclose(with...)
}

const (
	adco = "ADCO 021630015376"
	adsc = "ADSC|021630015376"
)

// What no frame of the test data has: other contracts, overloads, producers.
func TestGroups(t *testing.T) {
	for _, test := range []struct {
		name  string
		frame []byte
		want  map[string]any
	}{
		{"base", historicFrame(adco, "BASE 000000001"), map[string]any{"energy_import": 0.001}},
		{"EJP", historicFrame(adco, "OPTARIF EJP.", "EJPHN 000001000", "EJPHPM 000002000", "PTEC PM.."), map[string]any{
			"contract": "EJP", "energy_import_normal": 1.0, "energy_import_mobile_peak": 2.0,
			"tariff": "mobile peak", "mobile_peak_notice": false, "overload": false}},
		{"EJP notice", historicFrame(adco, "EJPHN 000001000", "PEJP 30"), map[string]any{
			"energy_import_normal": 1.0, "mobile_peak_notice": true}},
		{"Tempo", historicFrame(adco, "OPTARIF BBR(", "BBRHCJB 012000135", "BBRHPJB 009920022", "BBRHCJW 000802009",
			"BBRHPJW 000234878", "BBRHCJR 000027700", "BBRHPJR 000055029", "PTEC HPJB", "DEMAIN BLEU"), map[string]any{
			"contract": "Tempo", "energy_import_blue_off_peak": 12000.135, "energy_import_blue_peak": 9920.022,
			"energy_import_white_off_peak": 802.009, "energy_import_white_peak": 234.878, "energy_import_red_off_peak": 27.7,
			"energy_import_red_peak": 55.029, "tariff": "blue peak", "colour_tomorrow": "blue", "overload": false}},
		{"not announced", historicFrame(adco, "DEMAIN ----", "IINST 001"), map[string]any{"colour_tomorrow": "not announced", "current": 1.0}},
		{"unknown colour", historicFrame(adco, "DEMAIN VERT", "IINST 001"), map[string]any{"current": 1.0}},
		{"unknown period", historicFrame(adco, "PTEC ZZ.."), map[string]any{"tariff": "ZZ..", "overload": false}},
		{"overload", historicFrame(adco, "PTEC TH..", "ADPS 046"), map[string]any{"tariff": "all hours", "overload": true}},
		{"overload on a phase", historicFrame("ADIR2 031", adco, "IINST1 001", "IINST2 031", "IINST3 000"), map[string]any{
			"overload": true, "current_l1": 1.0, "current_l2": 31.0, "current_l3": 0.0}},
		{"producer", standardFrame(adsc, "EAST|000000010", "EAIT|000123456", "ERQ1|000000001", "ERQ2|000000002", "ERQ3|000000003",
			"ERQ4|000000004", "SINSTI|01234", "SMAXIN|H231225120000|02000", "SMAXIN-1|H231224115959|02100", "CCAIN|H231225120000|00500",
			"CCAIN-1|H231225113000|00400"), map[string]any{
			"energy_import": 0.01, "energy_export": 123.456, "reactive_energy_q1": 0.001, "reactive_energy_q2": 0.002,
			"reactive_energy_q3": 0.003, "reactive_energy_q4": 0.004, "apparent_power_export": 1234.0,
			"apparent_power_export_maximum_today": 2000.0, "apparent_power_export_maximum_today_time": "2023-12-25T12:00:00+01:00",
			"apparent_power_export_maximum_yesterday": 2100.0, "apparent_power_export_maximum_yesterday_time": "2023-12-24T11:59:59+01:00",
			"average_power_export": 500.0, "average_power_export_before": 400.0}},
		{"clock not sure", standardFrame(adsc, "DATE|e210415200146|", "SMAXSN|h210415200146|00001"), map[string]any{
			"apparent_power_maximum_today": 1.0}},
		{"no such day", standardFrame(adsc, "DATE|E210231200146|", "EAST|000000000"), map[string]any{"energy_import": 0.0}},
		{"no time", standardFrame(adsc, "SMAXSN-1| |00000", "SMAXSN|             |00000", "DATE||"), map[string]any{
			"apparent_power_maximum_today": 0.0, "apparent_power_maximum_yesterday": 0.0}},
		{"year 69", standardFrame(adsc, "DATE|H690101000000|"), map[string]any{"meter_time": "2069-01-01T00:00:00+01:00"}},
		{"relays", standardFrame(adsc, "RELAIS|129"), map[string]any{"relay_1": true, "relay_2": false, "relay_3": false, "relay_4": false,
			"relay_5": false, "relay_6": false, "relay_7": false, "relay_8": true}},
		{"everything set", standardFrame(adsc, "STGE|FFFFFFFF"), map[string]any{
			"dry_contact": "open", "breaker": "open", "energy_flow": "export", "distributor_tariff": "4", "colour_today": "red",
			"colour_tomorrow": "red", "mobile_peak_announced": "3", "mobile_peak": "3", "terminal_cover": true,
			"overvoltage": true, "overload": true, "producer": true, "clock_unsure": true}},
		{"overload in standard mode", standardFrame(adsc, "STGE|06000082"), map[string]any{
			"dry_contact": "closed", "breaker": "open: overload", "energy_flow": "import", "distributor_tariff": "1", "colour_today": "white",
			"colour_tomorrow": "blue", "mobile_peak_announced": "none", "mobile_peak": "none", "terminal_cover": false,
			"overvoltage": false, "overload": true, "producer": false, "clock_unsure": false}},
		{"texts", standardFrame(adsc, "NGTF|H PLEINE/CREUSE ", "LTARF| HEURE  PLEINE  ", "MSG2|HELLO"), map[string]any{
			"contract": "H PLEINE/CREUSE", "tariff": "HEURE PLEINE", "short_message": "HELLO"}},
		{"unknown label", standardFrame(adsc, "NEW|what ever it is", "NTARF|10"), map[string]any{"tariff_index": int64(10)}},
	} {
		r := decode(t, test.frame)
		if len(r.Damage) > 0 || len(r.Readings) != 1 || !reflect.DeepEqual(r.Readings[0].Values, test.want) {
			t.Errorf("%s: %v, damaged %q, want %v", test.name, r.Readings, r.Damage, test.want)
		}
	}
}

func TestPieces(t *testing.T) {
	for name, f := range readFrames(t) {
		whole := decode(t, f)
		for pieces := range drivertest.Splits(f, 1+len(f)/300) {
			if r := decode(t, pieces...); !reflect.DeepEqual(r, whole) {
				t.Fatalf("%s in %d pieces, %d bytes first, differs", name, len(pieces), len(pieces[0]))
			}
		}
	}
}

// A frame that is cut anywhere publishes nothing, and the one behind is found.
func TestTruncated(t *testing.T) {
	for name, f := range readFrames(t) {
		whole := decode(t, f)
		for cut := 0; cut < len(f); cut += 1 + len(f)/300 {
			r := decode(t, f[:cut], f)
			if !reflect.DeepEqual(r.Readings, whole.Readings) {
				t.Fatalf("%s cut at %d: %d readings, damaged %q", name, cut, len(r.Readings), r.Damage)
			}
			if cut > 1 && !slices.Equal(r.Damage, []string{"truncated"}) {
				t.Fatalf("%s cut at %d: damaged %q", name, cut, r.Damage)
			}
			r = decode(t, f[cut:], f)
			if cut > 0 && (!reflect.DeepEqual(r.Readings, whole.Readings) || len(r.Damage) > 0) {
				t.Fatalf("%s from %d: %d readings, damaged %q", name, cut, len(r.Readings), r.Damage)
			}
		}
	}
}

// One wrong bit publishes nothing: the checksum does not see bit 6, but then a
// digit is no digit any more.
func TestBitFlips(t *testing.T) {
	for name, f := range readFrames(t) {
		whole := decode(t, f)
		for i := range f {
			for bit := range 7 {
				if len(f) > 900 && bit != i%7 {
					continue // the long one would take too long
				}
				flipped := slices.Clone(f)
				flipped[i] ^= 1 << bit
				r := decode(t, flipped)
				if len(r.Readings) > 0 && !freeText(f, i) && !reflect.DeepEqual(r.Readings, whole.Readings) {
					t.Fatalf("%s: bit %d of byte %d (%q) published %v", name, bit, i, f[i], r.Readings[0].Values)
				}
				if flipped[i] == stx {
					continue // a frame more
				}
				if len(r.Readings)+len(r.Damage) > 1 || i > 1 && i < len(f)-1 && len(r.Readings)+len(r.Damage) != 1 {
					t.Fatalf("%s: bit %d of byte %d: %d readings, damaged %q", name, bit, i, len(r.Readings), r.Damage)
				}
			}
		}
	}
}

// freeText reports whether byte i stands in a group whose value is text, where
// bit 6 makes another letter.
func freeText(f []byte, i int) bool {
	group := f[bytes.LastIndexByte(f[:i], '\n')+1:]
	for _, label := range []string{"OPTARIF", "PTEC", "NGTF", "LTARF", "MSG1"} {
		if bytes.HasPrefix(group, []byte(label)) {
			return true
		}
	}
	return false
}

func TestBytesLost(t *testing.T) {
	for name, f := range readFrames(t) {
		whole := decode(t, f)
		r := decode(t, f[:20], f[21:])
		if len(r.Readings) > 0 {
			t.Errorf("%s without a byte published", name)
		}
		// The frame behind is found whatever was lost.
		for cut := 1; cut+5 < len(f); cut += 3 {
			r := decode(t, f[:cut], f[cut+5:], f)
			if n := len(r.Readings); n == 0 || !reflect.DeepEqual(r.Readings[n-1], whole.Readings[0]) {
				t.Fatalf("%s without 5 bytes at %d: damaged %q", name, cut, r.Damage)
			}
		}
	}
}

func TestDamaged(t *testing.T) {
	good := historicFrame(adco, "IINST 007")
	var many []string
	for i := range maxGroups {
		many = append(many, fmt.Sprintf("X%d 1", i))
	}
	with := func(group string) []byte { return historicFrame(adco, group) }
	withStandard := func(group string) []byte { return standardFrame(adsc, group) }
	for _, test := range []struct {
		name   string
		frame  []byte
		reason string
	}{
		{"wrong checksum", enclose("ADCO 021630015376 9", "IINST 007 !"), "checksum"},
		{"wrong checksum in a group not known", enclose("ADCO 021630015376 9", "WHAT 007 !"), "checksum"},
		{"standard sum in historic mode", enclose("ADCO 021630015376 9", "IINST 007 "+string(rune(checksum([]byte("IINST 007 "))))), "checksum"},
		{"historic sum in standard mode", enclose("ADSC\t021630015376\t" + string(rune(checksum([]byte("ADSC\t021630015376"))))), "checksum"},
		{"no number", historicFrame("IINST 007"), "no meter number"},
		{"number too short", historicFrame("ADCO 02163001537", "IINST 007"), "syntax"},
		{"number with a letter", historicFrame("ADCO 02163001537X", "IINST 007"), "syntax"},
		{"no digits", with("IINST 0x7"), "syntax"},
		{"sign", with("IINST -07"), "syntax"},
		{"exponent", with("PAPP 1e5"), "syntax"},
		{"endless", with("PAPP 9999999999999"), "syntax"},
		{"no value", with("PAPP "), "syntax"},
		{"no label", with(" 00001"), "syntax"},
		{"label in small letters", with("papp 00001"), "syntax"},
		{"long label", with("PAPPPAPPPAPPP 00001"), "syntax"},
		{"control character", with("PTEC HP\x7f."), "syntax"},
		{"eight bits", with("PTEC HP\xb1."), "syntax"},
		{"empty number in standard mode", withStandard("EAST|"), "syntax"},
		{"four parts", withStandard("SMAXSN|E210415081021|07337|1"), "syntax"},
		{"time with a letter", withStandard("DATE|E21041520014x|"), "syntax"},
		{"time for a value", withStandard("DATE|E210415200146"), "syntax"},
		{"time too short", withStandard("SMAXSN|E2104152001|00001"), "syntax"},
		{"time of another season", withStandard("SMAXSN|A210415200146|00001"), "syntax"},
		{"status too short", withStandard("STGE|003A001"), "syntax"},
		{"status not hexadecimal", withStandard("STGE|003A00X1"), "syntax"},
		{"relays over", withStandard("RELAIS|256"), "syntax"},
		{"tariff no number", withStandard("NTARF|x"), "syntax"},
		{"mixed modes", enclose("ADCO 021630015376 9", "EAST\t027553175\t2"), "syntax"},
		{"label twice", historicFrame(adco, "IINST 007", "IINST 007"), "truncated"},
		{"two frames", historicFrame(adco, "IINST 007", adco, "IINST 008"), "truncated"},
		{"broken off", []byte("\x02\nADCO 021630015376 9\r\x04"), "truncated"},
		{"broken off in a group", []byte("\x02\nADCO 0216\x04"), "truncated"},
		{"no CR", []byte("\x02\nADCO 021630015376 9\nIINST 007\r\x03"), "syntax"},
		{"no CR before the end", []byte("\x02\nADCO 021630015376 9\x03"), "syntax"},
		{"no LF", []byte("\x02\nADCO 021630015376 9\rIINST 007 ,\r\x03"), "syntax"},
		{"empty group", []byte("\x02\n\r\x03"), "syntax"},
		{"short group", []byte("\x02\nA 1\r\x03"), "syntax"},
		{"many groups", historicFrame(append(many, adco)...), "too long"},
		{"long group", with("PTEC " + strings.Repeat("x", maxFrame)), "too long"},
		{"endless frame", slices.Concat([]byte("\x02\n"), []byte(strings.Repeat("x", maxFrame))), "too long"},
	} {
		r := decode(t, test.frame, good)
		if len(r.Readings) != 1 || r.Readings[0].Values["current"] != 7.0 || len(r.Announcements) != 1 {
			t.Errorf("%s: %d readings, the next frame included", test.name, len(r.Readings))
		}
		if !slices.Equal(r.Damage, []string{test.reason}) {
			t.Errorf("%s: damaged %q, want %q", test.name, r.Damage, test.reason)
		}
	}
}

func TestForeign(t *testing.T) {
	noise := make([]byte, 256)
	for i := range noise {
		noise[i] = byte(i)
	}
	good := historicFrame(adco, "IINST 007")
	for _, foreign := range []string{
		"", string(noise), "\x02", "\x02\x02\x02", "\x02\x03", "\x03", "\x02ADCO 021630015376 9\r\x03", "\nADCO 021630015376 9\r",
		"/ABC5NAME\r\n\r\n1-0:1.8.0(00001.000*kWh)\r\n!\r\n", "\r\nPID\t0x203\r\nV\t12065\r\nChecksum\tq",
		"\x1b\x1b\x1b\x1b\x01\x01\x01\x01\x76\x05", "/ISk5\x02MT174\r\n\r\n1-0:1.8.0(1*kWh)\r\n!\r\n", strings.Repeat("x", 20000),
	} {
		r := decode(t, []byte(foreign), good, []byte(foreign), good)
		if len(r.Readings) != 2 || r.Readings[1].Values["current"] != 7.0 {
			t.Errorf("%.20q: %d readings, damaged %q", foreign, len(r.Readings), r.Damage)
		}
		if len(r.Damage) > 0 {
			t.Errorf("%.20q: damaged %q", foreign, r.Damage)
		}
	}
}

func TestAnnouncesWhenTheSetGrows(t *testing.T) {
	small, large := historicFrame(adco, "IINST 001"), historicFrame(adco, "IINST 001", "PAPP 00001")
	r := decode(t, small, small, large, small)
	if len(r.Announcements) != 2 || len(r.Announcements[0].Properties) != 1 || len(r.Announcements[1].Properties) != 2 {
		t.Errorf("announcements %+v", r.Announcements)
	}
}
