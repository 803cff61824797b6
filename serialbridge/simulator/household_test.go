package simulator

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"testing"
	"time"

	"lintel/serialbridge/drivertest"
	"lintel/serialbridge/dsmr"
)

type recorder = drivertest.Recorder

// values returns what a decoder of P1 telegrams should make of figures. The
// zone is given: it is not for the code under test to say.
func values(f Figures, zone *time.Location) (meter, gas map[string]any) {
	thousandth := func(n int64) float64 { return float64(n) / 1000 }
	meter = map[string]any{
		"meter_time":                  f.Time.In(zone).Format(time.RFC3339),
		"energy_import_tariff_1":      thousandth(f.EnergyImport[0]),
		"energy_import_tariff_2":      thousandth(f.EnergyImport[1]),
		"energy_export_tariff_1":      thousandth(f.EnergyExport[0]),
		"energy_export_tariff_2":      thousandth(f.EnergyExport[1]),
		"tariff":                      fmt.Sprint(f.Tariff),
		"power_import":                thousandth(int64(f.PowerImport)),
		"power_export":                thousandth(int64(f.PowerExport)),
		"power_failures":              int64(3),
		"long_power_failures":         int64(1),
		"last_power_failure_end":      "2020-03-15T09:15:00+01:00",
		"last_power_failure_duration": 912.0,
		"message":                     "",
	}
	for i := range 3 {
		phase := fmt.Sprintf("_l%d", i+1)
		meter["voltage_sags"+phase] = int64(0)
		meter["voltage_swells"+phase] = int64(0)
		meter["voltage"+phase] = float64(f.Voltage[i]) / 10
		meter["current"+phase] = float64(f.Current[i]) / 100
		meter["power_import"+phase] = thousandth(int64(f.PhaseImport[i]))
		meter["power_export"+phase] = thousandth(int64(f.PhaseExport[i]))
	}
	gas = map[string]any{
		"gas":  thousandth(f.Gas),
		"time": f.GasTime.In(zone).Format(time.RFC3339),
	}
	return meter, gas
}

// The driver reads exactly what the household's meters show, all day long.
func TestTelegramsDecode(t *testing.T) {
	winter, summer := time.FixedZone("", 3600), time.FixedZone("", 7200)
	for _, test := range []struct {
		from time.Time
		zone *time.Location
		step time.Duration
		n    int
	}{
		{time.Date(2026, 1, 15, 0, 0, 0, 0, winter), winter, 61 * time.Second, 24 * 59},
		{time.Date(2026, 6, 21, 0, 0, 0, 0, summer), summer, 61 * time.Second, 24 * 59},
		{time.Date(2026, 3, 29, 1, 59, 50, 0, winter), winter, time.Second, 10},
		{time.Date(2026, 3, 29, 3, 0, 0, 0, summer), summer, time.Second, 10},
		{time.Date(2026, 10, 25, 2, 59, 50, 0, summer), summer, time.Second, 10},
		{time.Date(2026, 10, 25, 2, 0, 0, 0, winter), winter, time.Second, 10},
		{time.Date(2040, 2, 29, 23, 59, 50, 0, winter), winter, time.Second, 20},
		{time.Date(2005, 2, 28, 23, 59, 50, 0, winter), winter, time.Second, 20}, // before the epoch
	} {
		h := NewHousehold(7)
		r := &recorder{}
		decoder := dsmr.Driver(dsmr.Options{}).NewDecoder(r)
		for i := range test.n {
			now := test.from.Add(time.Duration(i) * test.step)
			f := h.At(now)
			r.Readings = r.Readings[:0]
			decoder.Decode(p1Telegram(f), now)
			if len(r.Readings) != 2 || len(r.Damage) > 0 {
				t.Fatalf("%v: %d readings, damaged %q", now, len(r.Readings), r.Damage)
			}
			meter, gas := values(f, test.zone)
			if now.Before(epoch) {
				gas["time"] = "2020-01-01T00:00:00+01:00"
			}
			for i, want := range []map[string]any{meter, gas} {
				if !maps.Equal(r.Readings[i].Values, want) {
					t.Fatalf("%v: decoded\n%v, want\n%v", now, r.Readings[i].Values, want)
				}
			}
		}
		if len(r.Devices) != 2 {
			t.Errorf("%d devices", len(r.Devices))
		}
		meter := r.Devices["dsmr_LINTEL00000000007"]
		gas := r.Devices["dsmr_LINTELG0000000007"]
		if meter.Name != "Electricity meter" || gas.Name != "Gas meter" || gas.Via != meter.ID {
			t.Errorf("devices %+v %+v", meter, gas)
		}
	}
}

// The totals only rise, and are the sum of the powers of every second. Two days
// make sure that midnight is right.
func TestTotalsAreTheIntegral(t *testing.T) {
	h := NewHousehold(1)
	start := time.Date(2026, 10, 24, 12, 0, 0, 0, time.UTC) // over the end of summer time
	first := h.At(start)
	last := first
	var imported, exported [2]int64 // Ws
	for second := 1; second <= 2*day; second++ {
		imported[last.Tariff-1] += int64(last.PowerImport)
		exported[last.Tariff-1] += int64(last.PowerExport)
		f := h.At(start.Add(time.Duration(second) * time.Second))
		for i := range 2 {
			if f.EnergyImport[i] < last.EnergyImport[i] || f.EnergyExport[i] < last.EnergyExport[i] {
				t.Fatalf("%v: a total falls: %+v after %+v", f.Time, f, last)
			}
			for _, c := range []struct{ counted, summed int64 }{
				{f.EnergyImport[i] - first.EnergyImport[i], imported[i]},
				{f.EnergyExport[i] - first.EnergyExport[i], exported[i]},
			} {
				if diff := c.counted*3600 - c.summed; diff <= -3600 || diff >= 3600 {
					t.Fatalf("%v: counted %d Wh, summed %d Ws", f.Time, c.counted, c.summed)
				}
			}
		}
		if f.Gas < last.Gas || f.GasTime.Before(last.GasTime) || f.Time.Sub(f.GasTime) >= gasInterval*time.Second {
			t.Fatalf("%v: gas %d of %v after %d of %v", f.Time, f.Gas, f.GasTime, last.Gas, last.GasTime)
		}
		if f.Gas != last.Gas && !f.GasTime.Equal(f.Time) {
			t.Fatalf("%v: the gas meter is read between its times", f.Time)
		}
		if f.PowerImport > 0 && f.PowerExport > 0 {
			t.Fatalf("%v: imports and exports", f.Time)
		}
		sum := 0
		for i := range 3 {
			sum += f.PhaseImport[i] - f.PhaseExport[i]
			apparent := float64(f.Voltage[i]) / 10 * float64(f.Current[i]) / 100
			if w := float64(f.PhaseImport[i] + f.PhaseExport[i]); math.Abs(apparent-w) > 1.3 {
				t.Fatalf("%v: phase %d: %.2f VA for %v W", f.Time, i+1, apparent, w)
			}
		}
		if sum != f.PowerImport-f.PowerExport {
			t.Fatalf("%v: phases make %d W, meter %d in, %d out", f.Time, sum, f.PowerImport, f.PowerExport)
		}
		last = f
	}
}

func TestDayOfAHousehold(t *testing.T) {
	h := NewHousehold(0)
	at := func(hour, minute int) Figures { return h.At(time.Date(2026, 5, 1, hour, minute, 0, 0, standardTime)) }
	if f := at(3, 0); f.PowerImport < 150 || f.PowerImport > 400 || f.Tariff != 1 {
		t.Errorf("at night: %+v", f)
	}
	if f := at(7, 12); f.PowerImport < 1500 || f.Tariff != 2 {
		t.Errorf("at breakfast: %+v", f)
	}
	if f := at(13, 0); f.PowerExport < 1500 {
		t.Errorf("at noon: %+v", f)
	}
	if f := at(18, 0); f.PowerImport < 400 || f.PhaseImport[0] < 700 {
		t.Errorf("at dinner: %+v", f)
	}
	if f := at(20, 10); f.PowerImport < 1800 {
		t.Errorf("after dinner: %+v", f)
	}
	same := NewHousehold(0).At(time.Date(2026, 5, 1, 3, 0, 0, 0, standardTime))
	if !bytes.Equal(p1Telegram(same), p1Telegram(at(3, 0))) {
		t.Error("the same household at the same time says something else")
	}
	other := NewHousehold(1).At(time.Date(2026, 5, 1, 3, 0, 0, 0, standardTime))
	if other.Serial == same.Serial || other.GasSerial == same.GasSerial {
		t.Error("two households have one serial number")
	}
}

// A box without a clock: the meter stands still and does not panic.
func TestBeforeTheEpoch(t *testing.T) {
	h := NewHousehold(0)
	a, b := h.At(time.Unix(0, 0)), h.At(time.Unix(-86400*365, 0))
	if a.EnergyImport != b.EnergyImport || a.Gas != b.Gas || a.EnergyImport != h.At(epoch).EnergyImport {
		t.Errorf("%+v, %+v", a, b)
	}
}
