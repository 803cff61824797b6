package simulator

import (
	"fmt"
	"time"
)

const (
	slot        = 10 // seconds for which powers stay the same
	day         = 24 * 60 * 60
	gasInterval = 5 * 60 // seconds between the readings of the gas meter
)

// epoch is when the meters were installed. Before, they stand still: a box
// without a clock wakes up in 1970.
var epoch = time.Date(2020, time.January, 1, 0, 0, 0, 0, standardTime)

// standardTime is the time of day that the house lives by. It has no summer
// time: an hour that comes twice would turn the totals back.
var standardTime = time.FixedZone("CET", 60*60)

// Household is a house whose days are all the same. It does not change after
// it was made.
type Household struct {
	seed     uint64
	phases   [day / slot][3]int         // W, negative is export
	consumed [day/slot + 1]energy       // since midnight
	gas      [day/gasInterval + 1]int64 // dm³ since midnight
}

// energy counts in watt-seconds.
type energy struct {
	imported, exported [2]int64 // by tariff
}

// Figures are what the meters of a household show at one moment.
type Figures struct {
	Time         time.Time
	Serial       string // of the electricity meter
	GasSerial    string
	EnergyImport [2]int64 // Wh, by tariff
	EnergyExport [2]int64
	Tariff       int // 1 or 2
	PowerImport  int // W, of all phases together
	PowerExport  int
	PhaseImport  [3]int    // W
	PhaseExport  [3]int    // W
	Voltage      [3]int    // 0.1 V
	Current      [3]int    // 0.01 A
	Gas          int64     // dm³
	GasTime      time.Time // when Gas was read
}

// NewHousehold returns the household with the given number: the number changes
// the noise on its powers, when the fridge runs, and the serial numbers.
func NewHousehold(seed uint64) *Household {
	h := &Household{seed: seed}
	for i := range h.phases {
		second := i * slot
		h.phases[i] = h.load(second)
		e := h.consumed[i]
		imported, exported := net(h.phases[i])
		e.imported[tariff(second)-1] += int64(imported) * slot
		e.exported[tariff(second)-1] += int64(exported) * slot
		h.consumed[i+1] = e
	}
	for i := range len(h.gas) - 1 {
		h.gas[i+1] = h.gas[i] + gasUse(i*gasInterval/3600)
	}
	return h
}

// At returns what the meters show at t.
func (h *Household) At(t time.Time) Figures {
	t = t.Truncate(time.Second)
	local := t.In(standardTime)
	second := local.Hour()*3600 + local.Minute()*60 + local.Second()
	phases := h.phases[second/slot]
	f := Figures{
		Time:      t,
		Serial:    fmt.Sprintf("LINTEL%011d", h.seed%1e11),
		GasSerial: fmt.Sprintf("LINTELG%010d", h.seed%1e10),
		Tariff:    tariff(second),
	}
	f.PowerImport, f.PowerExport = net(phases)
	for i, w := range phases {
		f.PhaseImport[i], f.PhaseExport[i] = max(w, 0), max(-w, 0)
		f.Voltage[i] = 2300 - w*15/2000 + h.noise(second/slot, 3+i, 8)
		f.Current[i] = (max(w, -w)*1000 + f.Voltage[i]/2) / f.Voltage[i]
	}

	// Installed with something on the clock, as a meter is by now.
	e := energy{
		imported: [2]int64{2345678 * 3600, 2109876 * 3600},
		exported: [2]int64{345678 * 3600, 1234567 * 3600},
	}
	f.Gas = 4567890
	f.GasTime = epoch
	if elapsed := int64(t.Sub(epoch) / time.Second); elapsed >= 0 {
		days := elapsed / day
		e.add(h.consumed[len(h.consumed)-1], days)
		e.add(h.consumed[second/slot], 1)
		imported, exported := net(phases)
		e.imported[f.Tariff-1] += int64(imported * (second % slot))
		e.exported[f.Tariff-1] += int64(exported * (second % slot))
		f.Gas += days*h.gas[len(h.gas)-1] + h.gas[second/gasInterval]
		f.GasTime = t.Add(-time.Duration(second%gasInterval) * time.Second)
	}
	for i := range 2 {
		f.EnergyImport[i] = e.imported[i] / 3600
		f.EnergyExport[i] = e.exported[i] / 3600
	}
	return f
}

func (e *energy) add(other energy, times int64) {
	for i := range 2 {
		e.imported[i] += other.imported[i] * times
		e.exported[i] += other.exported[i] * times
	}
}

// net returns what a meter counts of three phases: their sum, as Dutch and
// Belgian meters do.
func net(phases [3]int) (imported, exported int) {
	sum := phases[0] + phases[1] + phases[2]
	return max(sum, 0), max(-sum, 0)
}

// tariff is 1 (low) at night and 2 by day, as in the Netherlands.
func tariff(second int) int {
	if hour := second / 3600; hour >= 7 && hour < 23 {
		return 2
	}
	return 1
}

// load returns the power on each phase at a second of the day.
func (h *Household) load(second int) [3]int {
	at := func(hour, minute int) int { return hour*3600 + minute*60 }
	between := func(from, to int) bool { return from <= second && second < to }
	i := second / slot

	kitchen := 120 + h.noise(i, 0, 15)
	if (second+int(h.seed%2700))%2700 < 900 { // the fridge
		kitchen += 90
	}
	switch {
	case between(at(7, 10), at(7, 14)), between(at(15, 30), at(15, 33)): // the kettle
		kitchen += 2100
	case between(at(17, 45), at(18, 30)): // the hob, which pulses
		kitchen += 600
		if second%120 < 70 {
			kitchen += 1600
		}
	}

	living := 60 + h.noise(i, 1, 10)
	switch {
	case between(at(6, 45), at(8, 15)):
		living += 140
	case between(at(10, 0), at(10, 20)): // washing machine: heating, then turning
		living += 1900
	case between(at(10, 20), at(11, 30)):
		living += 250
	case between(at(18, 30), at(23, 15)):
		living += 230
	}

	rest := 35 + h.noise(i, 2, 5)
	if between(at(20, 0), at(20, 25)) || between(at(20, 50), at(21, 5)) { // dishwasher
		rest += 1800
	}
	if from, to := at(7, 0), at(19, 0); between(from, to) { // the sun, and clouds
		x, n := second-from, to-from
		height := 4000 * x / n * (n - x) / n // in thousandths
		rest -= 2600 * height / 1000 * height / 1000 * (90 + h.noise(second/300, 6, 10)) / 100
	}
	return [3]int{kitchen, living, rest}
}

// gasUse returns the dm³ of five minutes in an hour of the day.
func gasUse(hour int) int64 {
	switch {
	case hour >= 6 && hour < 9:
		return 95
	case hour >= 17 && hour < 22:
		return 70
	case hour >= 9 && hour < 17:
		return 25
	}
	return 0
}

// noise returns a number from -size to size that depends on nothing but its
// arguments and the seed (the finalizer of SplitMix64).
func (h *Household) noise(i, channel, size int) int {
	x := h.seed + uint64(i)*0x9E3779B97F4A7C15 + uint64(channel)<<56
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	x ^= x >> 31
	return int(x%uint64(2*size+1)) - size
}
