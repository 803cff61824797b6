package nmea

import (
	"bytes"
	"reflect"
	"testing"
)

func FuzzDecoder(f *testing.F) {
	for _, v := range readVectors(f) {
		f.Add([]byte(v.Raw + "\r\n" + v.Raw + "\r\n"))
		f.Add([]byte(v.Raw[:len(v.Raw)/2]))
	}
	f.Add([]byte(stream(f)))
	for _, s := range []string{
		"", "$", "$$", "*", "$GPGLL,*50\r\n", "$GPGLL,\r\n",
		"GNGNS,120000,5133.82,N,00042.24,W,AN,08,1.0,10,40,,",
		"GPVTG,,T,,M,0.1,N,0.2,K,A",
		"GPZDA,172809.456789012345,31,12,9999,00,00",
		"GPRMC,235960.999,A,9000,S,18000,W,999999999999,0.00000000001,310279,180,W,A",
	} {
		f.Add([]byte(s))
		f.Add([]byte(known + sentence(s) + sentence(s)))
	}
	valid := known + known
	want := decode(f, valid).Readings[0]

	f.Fuzz(func(t *testing.T, data []byte) {
		whole := decode(t, string(data))
		if n := bytes.Count(data, []byte("*")); len(whole.Readings) > n {
			t.Fatalf("%d readings of %d checksums", len(whole.Readings), n)
		}
		for _, reading := range whole.Readings {
			latitude, ok := reading.Values["latitude"].(float64)
			longitude, _ := reading.Values["longitude"].(float64)
			if ok && (reading.Values["fix"] != true || latitude < -90 || latitude > 90 || longitude < -180 || longitude > 180) {
				t.Fatalf("position %v", reading.Values)
			}
		}

		// The pieces do not matter.
		pieces := &recorder{}
		d := newDecoder(pieces)
		for i := range data {
			d.Decode(data[i:i+1], received)
			if len(d.sentence) > maxSentence || len(d.receivers) > maxDevices {
				t.Fatalf("holds %d bytes, %d devices", len(d.sentence), len(d.receivers))
			}
		}
		if !reflect.DeepEqual(pieces, whole) {
			t.Fatalf("in pieces: %+v, whole: %+v", pieces, whole)
		}

		// Whatever came before, valid sentences are found.
		d.Decode([]byte(valid), received)
		n := len(pieces.Readings)
		if n > 0 { // the accuracy is of before
			at, _ := pieces.Readings[n-1].Values["position"].(map[string]any)
			delete(at, "gps_accuracy")
		}
		if n == 0 || !reflect.DeepEqual(pieces.Readings[n-1], want) {
			t.Fatalf("valid sentences behind are not found: damaged %q", pieces.Damage)
		}
	})
}
