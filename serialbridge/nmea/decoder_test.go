package nmea

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lintel/serialbridge/drivertest"
)

// No position is published that is not valid, nor what comes with it.
func TestInvalid(t *testing.T) {
	const gga = "GPGGA,120000,5133.82,N,00042.24,W,%s,08,1.0,10,M,40,M,,"
	const gns = "GNGNS,120000,5133.82,N,00042.24,W,%s,08,1.0,10,40,,"
	const rmc = "GPRMC,120000,%s,5133.82,N,00042.24,W,1.0,2.0,211126,3.0,E%s"
	const gll = "GPGLL,5133.82,N,00042.24,W,120000,%s"
	position := []string{"latitude", "longitude"}
	all := []string{"latitude", "longitude", "altitude", "hdop", "geoid_separation", "speed", "course", "magnetic_variation", "time"}
	for _, test := range []struct {
		text string
		fix  bool
	}{
		{fmt.Sprintf(gga, "0"), false},
		{fmt.Sprintf(gga, "1"), true},
		{fmt.Sprintf(gga, "2"), true},
		{fmt.Sprintf(gga, "3"), true},
		{fmt.Sprintf(gga, "4"), true},
		{fmt.Sprintf(gga, "5"), true},
		{fmt.Sprintf(gga, "6"), false},
		{fmt.Sprintf(gga, "7"), false},
		{fmt.Sprintf(gga, "8"), false},
		{fmt.Sprintf(gns, "A"), true},
		{fmt.Sprintf(gns, "NNDN"), true},
		{fmt.Sprintf(gns, "R"), true},
		{fmt.Sprintf(gns, "NNNN"), false},
		{fmt.Sprintf(gns, "E"), false},
		{fmt.Sprintf(gns, "AS"), false},
		{fmt.Sprintf(gns, "M"), false},
		{fmt.Sprintf(gns, ""), false},
		{fmt.Sprintf(rmc, "A", ""), true},
		{fmt.Sprintf(rmc, "A", ",A"), true},
		{fmt.Sprintf(rmc, "A", ",D"), true},
		{fmt.Sprintf(rmc, "A", ",A,V"), true},
		{fmt.Sprintf(rmc, "A", ","), true},
		{fmt.Sprintf(rmc, "V", ""), false},
		{fmt.Sprintf(rmc, "V", ",A"), false},
		{fmt.Sprintf(rmc, "A", ",N"), false},
		{fmt.Sprintf(rmc, "A", ",E"), false},
		{fmt.Sprintf(rmc, "A", ",M"), false},
		{fmt.Sprintf(rmc, "A", ",S"), false},
		{"GPRMC,,V,,,,,,,,,,N", false},
		{fmt.Sprintf(gll, "A"), true},
		{fmt.Sprintf(gll, "A,F"), true},
		{fmt.Sprintf(gll, "V"), false},
		{fmt.Sprintf(gll, "A,S"), false},
		{"GPGLL,,,,,,V,N", false},
	} {
		values, damaged := say(t, test.text)
		if values["fix"] != test.fix || len(damaged) > 0 {
			t.Errorf("%s: %v, damaged %q", test.text, values, damaged)
		}
		for _, key := range position {
			if _, ok := values[key]; ok != test.fix {
				t.Errorf("%s: %s = %v", test.text, key, values[key])
			}
		}
		for _, key := range all {
			if v, ok := values[key]; ok && !test.fix {
				t.Errorf("%s: %s = %v", test.text, key, v)
			}
		}
	}
}

// What says nothing of being valid is believed while there is a fix.
func TestUnqualified(t *testing.T) {
	const vtg, zda = "GPVTG,45.5,T,67.5,M,30.45,N,56.40,K", "GPZDA,172809.456,12,07,1996,00,00"
	fix, lost := "GPGLL,5000.000,N,00700.000,E,120000,A", "GPGLL,,,,,120000,V"
	for _, test := range []struct {
		sentences []string
		want      int // values of the last one; -1: no reading
	}{
		{[]string{fix, fix, vtg}, 3},
		{[]string{fix, fix, zda}, 1},
		{[]string{lost, fix, vtg}, 3},
		{[]string{fix, lost, vtg}, -1},
		{[]string{fix, lost, zda}, -1},
		{[]string{vtg, vtg}, -1},
		{[]string{fix, "GLGLL,,,,,120000,V", vtg}, -1},
		{[]string{fix, "IIGLL,,,,,120000,V", vtg}, 3},
		{[]string{fix, fix, vtg + ",A"}, 3},
		{[]string{fix, fix, vtg + ",N"}, -1},
		{[]string{lost, lost, vtg + ",D"}, 3},
		{[]string{fix, fix, "GPVTG,,T,,M,,N,,K,N"}, -1},
		{[]string{fix, fix, "GPVTG,,T,,M,0.1,N,0.2,K,A"}, 1},
		{[]string{fix, fix, "GPZDA,,,,,,"}, -1},
	} {
		r := &recorder{}
		d := newDecoder(r)
		before := 0
		for _, s := range test.sentences {
			before = len(r.Readings)
			d.Decode([]byte(sentence(s)), received)
		}
		got := -1
		if len(r.Readings) > before {
			got = len(r.Readings[before].Values)
		}
		if got != test.want || len(r.Damage) > 0 {
			t.Errorf("%q: %d, want %d; damaged %q", test.sentences, got, test.want, r.Damage)
		}
	}
}

// Without a fix nobody knows where the receiver goes.
func TestFixLost(t *testing.T) {
	there := sentence("GPRMC,120000,A,5000.000,N,00700.000,E,10.0,90.0,211126,,")
	gone := sentence("GPRMC,120001,V,,,,,,,211126,,")
	r := decode(t, there, there, gone, gone)
	if len(r.Readings) != 3 {
		t.Fatalf("%+v", r.Readings)
	}
	if want := (map[string]any{"fix": false, "speed": nil, "course": nil}); !maps.Equal(r.Readings[1].Values, want) {
		t.Errorf("%v, want %v", r.Readings[1].Values, want)
	}
	if want := (map[string]any{"fix": false}); !maps.Equal(r.Readings[2].Values, want) {
		t.Errorf("%v, want %v", r.Readings[2].Values, want)
	}
}

func TestDevices(t *testing.T) {
	for talker, want := range map[string]string{
		"GP": "nmea_gnss", "GL": "nmea_gnss", "GA": "nmea_gnss", "GB": "nmea_gnss", "BD": "nmea_gnss", "GQ": "nmea_gnss",
		"QZ": "nmea_gnss", "GI": "nmea_gnss", "GN": "nmea_gnss", "II": "nmea_ii", "YD": "nmea_yd", "U1": "nmea_u1",
	} {
		s := sentence(talker + "GLL,5000.000,N,00700.000,E,120000,A")
		if r := decode(t, s); len(r.Announcements) > 0 {
			t.Errorf("%s: believed after one sentence", talker)
		}
		r := decode(t, s, s)
		if len(r.Announcements) != 1 || r.Announcements[0].ID != want || r.Announcements[0].Name == "" || !r.Announcements[0].Anonymous {
			t.Errorf("%s: %+v", talker, r.Announcements)
		}
		if !r.Readings[0].Time.Equal(received) {
			t.Errorf("time %v", r.Readings[0].Time)
		}
	}

	// What was announced once stays.
	r := decode(t, known, sentence("GNGSA,A,3,22,19,,,,,,,,,,,3.1,2.0,2.4,1"), known)
	if d := r.Devices["nmea_gnss"]; len(r.Announcements) != 2 || len(d.Properties) != 8 {
		t.Errorf("%d announcements, the last %+v", len(r.Announcements), d)
	}

	r = &recorder{}
	d := newDecoder(r)
	for i := range 26 * 26 {
		s := sentence(string([]byte{'A' + byte(i%26), 'A' + byte(i/26)}) + "GLL,5000.000,N,00700.000,E,120000,A")
		d.Decode([]byte(s+s), received)
		if len(d.receivers) > maxDevices {
			t.Fatalf("%d devices", len(d.receivers))
		}
	}
}

func TestDamage(t *testing.T) {
	const good = "GPGLL,5000.000,N,00700.000,E,120000,A"
	whole := sentence(good)
	for _, test := range []struct {
		name    string
		text    string
		damaged []string
	}{
		{"nothing", "", nil},
		{"wrong checksum", "$" + good + "*00\r\n", []string{"checksum"}},
		{"lower case", "$GPGLL,,,,,120000,V*" + strings.ToLower(sentence("GPGLL,,,,,120000,V")[20:]), nil},
		{"no checksum", "$" + good + "\r\n", []string{"checksum"}},
		{"half a checksum", "$" + good + "*2\r\n", []string{"checksum"}},
		{"long checksum", whole[:len(whole)-2] + "0\r\n", []string{"checksum"}},
		{"no digits", "$" + good + "*GG\r\n", []string{"checksum"}},
		{"wrong character", strings.Replace(whole, "N", "S", 1), []string{"checksum"}},
		{"cut", whole[:20] + "\r\n", []string{"checksum"}},
		{"cut short", whole[:20], []string{"truncated"}},
		{"begins twice", "$", nil},
		{"a byte of noise within", whole[:20] + "\x80" + whole[20:], []string{"syntax"}},
		{"too long", "$GPGLL," + strings.Repeat("1", 200) + "\r\n", []string{"too long"}},
		{"no sentence", "$100 for a receiver*00\r\n", nil},
		{"lower case address", "$gpgll,\r\n", nil},
		{"proprietary", "$PUBX,40,GLL*00\r\n$PMTK001,3*00\r\n" + sentence("PGRME,15.0,M,45.0,M,25.0,M"), nil},
		{"encapsulated", "!AIVDM,1,1,,B,177KQJ5000G?tO`K>RA1wUbN0TKH,0*5C\r\n", nil},
		{"unknown", sentence("GPXYZ,1,2,3"), nil},
		{"satellites in view", sentence("GLGSV,3,1,11,03,03,111,00"), nil},

		{"GLL without position", sentence("GPGLL,,,,,120000,A"), []string{"syntax"}},
		{"GLL of NMEA 1.5", sentence("GPGLL,5000.000,N,00700.000,E"), nil},
		{"GLL too short", sentence("GPGLL,5000.000,N"), []string{"syntax"}},
		{"status", sentence("GPGLL,5000.000,N,00700.000,E,120000,B"), []string{"syntax"}},
		{"mode", sentence("GPGLL,5000.000,N,00700.000,E,120000,A,AA"), []string{"syntax"}},
		{"latitude of 91°", sentence("GPGLL,9100.000,N,00700.000,E,120000,A"), []string{"syntax"}},
		{"latitude over 90°", sentence("GPGLL,9000.001,N,00700.000,E,120000,A"), []string{"syntax"}},
		{"60 minutes", sentence("GPGLL,5060.000,N,00700.000,E,120000,A"), []string{"syntax"}},
		{"longitude over 180°", sentence("GPGLL,5000.000,N,18000.001,E,120000,A"), []string{"syntax"}},
		{"hemisphere", sentence("GPGLL,5000.000,E,00700.000,N,120000,A"), []string{"syntax"}},
		{"no hemisphere", sentence("GPGLL,5000.000,,00700.000,E,120000,A"), []string{"syntax"}},
		{"short longitude", sentence("GPGLL,5000.000,N,0700.000,E,120000,A"), []string{"syntax"}},
		{"negative", sentence("GPGLL,-500.000,N,00700.000,E,120000,A"), []string{"syntax"}},
		{"letter", sentence("GPGLL,5000.0x0,N,00700.000,E,120000,A"), []string{"syntax"}},
		{"no decimals", sentence("GPGLL,5000.,N,00700.000,E,120000,A"), []string{"syntax"}},
		{"RMC too short", sentence("GPRMC,120000,A,5000.000,N,00700.000,E,1.0"), []string{"syntax"}},
		{"RMC date", sentence("GPRMC,120000,A,5000.000,N,00700.000,E,1.0,2.0,310226,,"), []string{"syntax"}},
		{"RMC day 0", sentence("GPRMC,120000,A,5000.000,N,00700.000,E,1.0,2.0,000226,,"), []string{"syntax"}},
		{"RMC long date", sentence("GPRMC,120000,A,5000.000,N,00700.000,E,1.0,2.0,21112026,,"), []string{"syntax"}},
		{"RMC time", sentence("GPRMC,240000,A,5000.000,N,00700.000,E,1.0,2.0,211126,,"), []string{"syntax"}},
		{"RMC short time", sentence("GPRMC,1200,A,5000.000,N,00700.000,E,1.0,2.0,211126,,"), []string{"syntax"}},
		{"RMC backwards", sentence("GPRMC,120000,A,5000.000,N,00700.000,E,-1.0,2.0,211126,,"), []string{"syntax"}},
		{"RMC exponent", sentence("GPRMC,120000,A,5000.000,N,00700.000,E,1e3,2.0,211126,,"), []string{"syntax"}},
		{"RMC variation", sentence("GPRMC,120000,A,5000.000,N,00700.000,E,1.0,2.0,211126,3.0,N"), []string{"syntax"}},
		{"RMC no variation", sentence("GPRMC,120000,A,5000.000,N,00700.000,E,1.0,2.0,211126,,E"), []string{"syntax"}},
		{"GGA too short", sentence("GPGGA,120000,5133.82,N,00042.24,W,1,08,1.0,10,M"), []string{"syntax"}},
		{"GGA quality", sentence("GPGGA,120000,5133.82,N,00042.24,W,9,08,1.0,10,M,40,M,,"), []string{"syntax"}},
		{"GGA no quality", sentence("GPGGA,120000,5133.82,N,00042.24,W,,08,1.0,10,M,40,M,,"), []string{"syntax"}},
		{"GGA satellites", sentence("GPGGA,120000,5133.82,N,00042.24,W,1,x8,1.0,10,M,40,M,,"), []string{"syntax"}},
		{"GGA altitude", sentence("GPGGA,120000,5133.82,N,00042.24,W,1,08,1.0,1.0.0,M,40,M,,"), []string{"syntax"}},
		{"GNS mode", sentence("GNGNS,120000,5133.82,N,00042.24,W,AX,08,1.0,10,40,,"), []string{"syntax"}},
		{"GNS too short", sentence("GNGNS,120000,5133.82,N"), []string{"syntax"}},
		{"GSA type", sentence("GPGSA,A,4,22,19,,,,,,,,,,,3.1,2.0,2.4"), []string{"syntax"}},
		{"GSA type 0", sentence("GPGSA,A,0,22,19,,,,,,,,,,,3.1,2.0,2.4"), []string{"syntax"}},
		{"GSA too short", sentence("GPGSA,A,3,22"), []string{"syntax"}},
		{"GSA number", sentence("GPGSA,A,3,22,19,,,,,,,,,,,3.1,-,2.4"), []string{"syntax"}},
		{"VTG", sentence("GPVTG,45.5,67.5,30.45,56.40"), []string{"syntax"}},
		{"VTG mode", sentence("GPVTG,45.5,T,67.5,M,30.45,N,56.40,K,AA"), []string{"syntax"}},
		{"ZDA year", sentence("GPZDA,172809,12,07,96,00,00"), []string{"syntax"}},
		{"ZDA month", sentence("GPZDA,172809,12,13,1996,00,00"), []string{"syntax"}},
		{"ZDA too short", sentence("GPZDA,172809"), []string{"syntax"}},
	} {
		r := decode(t, known, test.text, whole)
		// One reading of known, one of the sentence behind.
		if !slices.Equal(r.Damage, test.damaged) || len(r.Readings) < 2 {
			t.Errorf("%s: damaged %q, want %q; %d readings", test.name, r.Damage, test.damaged, len(r.Readings))
		}
		for _, reading := range r.Readings {
			for _, key := range []string{"latitude", "longitude"} {
				if v, ok := reading.Values[key]; ok && v != 50.0 && v != 7.0 {
					t.Errorf("%s: %v", test.name, reading.Values)
				}
			}
		}
	}
}

// What other protocols say is no place.
func TestForeign(t *testing.T) {
	foreign := "/ISk5\\2MT382-1000\r\n1-0:1.8.1(00001.001*kWh)\r\n!522B\r\n" +
		"\r\nPID\t0xA389\r\nV\t26201\r\nChecksum\t$" +
		"\xAA\xC0\x06\x00\x06\x00\x58\xD9\x3D\xAB" +
		"20;2D;UPM/Esic;ID=0001;TEMP=00cf;HUM=16;BAT=OK;\r\n" +
		"{\"price\":\"$GPGLL,\"}\r\n"
	if r := decode(t, foreign); len(r.Readings)+len(r.Announcements) > 0 || !slices.Equal(r.Damage, []string{"checksum"}) {
		t.Errorf("foreign: %d readings, damaged %q", len(r.Readings), r.Damage)
	}
	noise := make([]byte, 1<<20)
	source := rand.NewChaCha8([32]byte{})
	source.Read(noise)
	if r := decode(t, string(noise)); len(r.Readings)+len(r.Announcements) > 0 {
		t.Errorf("noise: %+v", r.Readings)
	}
}

// stream is all vectors in a row, with noise.
func stream(t testing.TB) string {
	var s strings.Builder
	for _, v := range readVectors(t) {
		s.WriteString(v.Raw + "\r\n$GP\n")
	}
	return s.String() + known + s.String()
}

// The pieces do not matter.
func TestSplits(t *testing.T) {
	text := stream(t)
	want := decode(t, text)
	if len(want.Readings) < 20 || len(want.Devices) != 3 {
		t.Fatalf("%d readings, devices %q", len(want.Readings), slices.Sorted(maps.Keys(want.Devices)))
	}
	for pieces := range drivertest.Splits(text, 1) {
		if got := decode(t, pieces...); !reflect.DeepEqual(got, want) {
			t.Fatalf("in %d pieces, %d bytes first: %+v", len(pieces), len(pieces[0]), got)
		}
	}
}
