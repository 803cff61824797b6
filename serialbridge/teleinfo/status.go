package teleinfo

import (
	"strconv"

	"lintel/serialbridge"
)

// The status register STGE (Enedis-NOI-CPT_54E). Bits 10 to 13 hold
// the index of NTARF; those of the meter's own ports and of its power line
// communication are left out.

// states are what a few bits of the register say, from the lowest value on.
var states = []struct {
	shift, bits uint
	property    serialbridge.Property
}{
	{0, 1, serialbridge.OneOf("dry_contact", "Dry contact", "closed", "open")},
	{1, 3, serialbridge.OneOf("breaker", "Breaker", "closed", "open: overload", "open: overvoltage", "open: load shedding",
		"open: remote order", "open: overheated at high current", "open: overheated at low current", "open").AsDiagnostic()},
	{9, 1, serialbridge.OneOf("energy_flow", "Energy flow", "import", "export")},
	{14, 2, serialbridge.OneOf("distributor_tariff", "Distributor tariff", "1", "2", "3", "4").AsDiagnostic()},
	{24, 2, serialbridge.OneOf("colour_today", "Colour of today", dayColours...)},
	{26, 2, serialbridge.OneOf("colour_tomorrow", "Colour of tomorrow", dayColours...)},
	{28, 2, serialbridge.OneOf("mobile_peak_announced", "Mobile peak announced", mobilePeaks...)},
	{30, 2, serialbridge.OneOf("mobile_peak", "Mobile peak", mobilePeaks...)},
}

var (
	dayColours  = []string{"not announced", "blue", "white", "red"}
	mobilePeaks = []string{"none", "1", "2", "3"}
)

// flags are the bits that stand for themselves.
var flags = []struct {
	bit      uint
	property serialbridge.Property
}{
	{4, serialbridge.Flag("terminal_cover", "Terminal cover", "opening").AsDiagnostic()},
	{6, serialbridge.Flag("overvoltage", "Overvoltage", "problem").AsDiagnostic()},
	{7, overloaded},
	{8, serialbridge.Flag("producer", "Producer", "").AsDiagnostic()},
	{16, serialbridge.Flag("clock_unsure", "Clock unsure", "problem").AsDiagnostic()},
}

// addStatus adds what the eight hex digits of STGE say.
func (r *report) addStatus(s string) bool {
	n, err := strconv.ParseUint(s, 16, 32)
	if err != nil || len(s) != 8 {
		return false
	}
	for _, p := range states {
		r.set(p.property, p.property.Options[n>>p.shift&(1<<p.bits-1)])
	}
	for _, p := range flags {
		r.set(p.property, n>>p.bit&1 != 0)
	}
	return true
}
