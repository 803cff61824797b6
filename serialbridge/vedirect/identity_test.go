package vedirect

import (
	"slices"
	"testing"
)

func TestIdentity(t *testing.T) {
	plain := func(pid string) []byte { return block("PID "+pid, "V 12000") }
	with := func(pid, serial string) []byte { return block("PID "+pid, "SER# "+serial, "V 12000") }
	history := block("H1 -1000", "H18 5")
	for _, test := range []struct {
		name   string
		blocks [][]byte
		want   []string // device of each reading
	}{
		{"one block", [][]byte{with("0xA053", "HQ1")}, nil},
		{"two blocks", [][]byte{with("0xA053", "HQ1"), with("0xA053", "HQ1")}, []string{"vedirect_HQ1"}},
		{"no serial number", [][]byte{plain("0x203"), plain("0x203")}, []string{"vedirect_pid_0203"}},
		{"history of nobody", [][]byte{history, history, history}, nil},
		{"history too early", [][]byte{plain("0x203"), history, plain("0x203"), history}, []string{"vedirect_pid_0203", "vedirect_pid_0203"}},
		{"one odd block", [][]byte{with("0xA053", "HQ1"), with("0xA053", "HQ1"), with("0xA053", "HQ2"), with("0xA053", "HQ1"), with("0xA053", "HQ1")},
			[]string{"vedirect_HQ1", "vedirect_HQ1", "vedirect_HQ1"}},
		{"another device", [][]byte{with("0xA053", "HQ1"), with("0xA053", "HQ1"), plain("0xA389"), history, plain("0xA389"), history},
			[]string{"vedirect_HQ1", "vedirect_pid_A389", "vedirect_pid_A389"}},
		{"no product ID", [][]byte{block("SER# HQ1", "V 1"), block("SER# HQ1", "V 1")}, nil},
		{"bad product ID", [][]byte{plain("A053"), plain("A053"), plain("0x12345"), plain("0x12345")}, nil},
		{"odd serial number", [][]byte{with("0xA053", "a/b+c #"), with("0xA053", "a/b+c #")}, []string{"vedirect_a_b_c__"}},
		{"nothing known in it", [][]byte{block("PID 0x203"), block("PID 0x203")}, nil},
	} {
		var got []string
		for _, reading := range decode(t, test.blocks...).Readings {
			got = append(got, reading.Device)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// Who tells no serial number may have a twin.
func TestAnonymous(t *testing.T) {
	plain, named := block("PID 0xA389", "V 12000"), block("PID 0xA053", "SER# HQ1", "V 12000")
	if d := decode(t, plain, plain).Devices["vedirect_pid_A389"]; !d.Anonymous {
		t.Errorf("%+v", d)
	}
	if d := decode(t, named, named).Devices["vedirect_HQ1"]; d.Anonymous {
		t.Errorf("%+v", d)
	}
}

func TestProduct(t *testing.T) {
	for _, test := range []struct{ pid, name, model string }{
		{"0203", "Battery monitor", "BMV-700"},
		{"A381", "Battery monitor", "BMV-712 Smart"},
		{"A389", "Battery monitor", "SmartShunt 500A/50mV"},
		{"0300", "Solar charger", "BlueSolar MPPT 70/15"},
		{"A053", "Solar charger", "SmartSolar MPPT 75/15"},
		{"A07A", "Solar charger", "BlueSolar MPPT 75/15 rev2"},
		{"A117", "Solar charger", "BlueSolar MPPT VE.Can 150/100 rev2"},
		{"A0FF", "Solar charger", ""},
		{"A201", "Inverter", "Phoenix Inverter 12V 250VA 230V"},
		{"A231", "Inverter", "Phoenix Inverter 12V 250VA 230V"},
		{"A26C", "Inverter", "Phoenix Inverter 48V 800VA 120V"},
		{"A2A4", "Inverter", "Phoenix Inverter 48V 3000VA 230V"},
		{"A2B2", "Inverter", "Phoenix Inverter Smart 24V 5000VA 230V"},
		{"A2E9", "Inverter", "Phoenix Inverter 12V 800VA 120V"},
		{"A289", "Inverter", ""},
		{"A233", "Inverter", ""},
		{"A2C1", "Inverter", ""},
		{"A345", "Charger", "Phoenix Smart IP43 Charger 12/30 (3)"},
		{"0000", "Victron device", ""},
		{"", "Victron device", ""},
	} {
		if name, model := product(test.pid); name != test.name || model != test.model {
			t.Errorf("%s: %q %q, want %q %q", test.pid, name, model, test.name, test.model)
		}
	}
}

func TestFirmware(t *testing.T) {
	for _, test := range []struct{ label, value, want string }{
		{"FW", "0308", "3.08"}, {"FW", "139", "1.39"}, {"FW", "C208", "2.08-C"}, {"FW", "050", "0.50"},
		{"FW", "", ""}, {"FW", "12", ""}, {"FW", "x", ""}, {"FW", "C", ""}, {"FW", "-139", ""},
		{"FWE", "0208FF", "2.08"}, {"FWE", "020801", "2.08-beta-01"}, {"FWE", "FF", ""}, {"FWE", "", ""}, {"V", "12", ""},
	} {
		if got := firmware([]field{{test.label, test.value}}); got != test.want {
			t.Errorf("%s %s: %q, want %q", test.label, test.value, got, test.want)
		}
	}
}
