package simulator

import (
	"fmt"
	"time"
)

// solarCharger is a Victron SmartSolar MPPT 75/15 at a VE.Direct cable (VE.Direct
// Protocol 3.33). It counts 0.01 kWh of yield.
func solarCharger(number uint64) Device {
	n := int64(0)
	return Device{Protocol: "vedirect", Interval: time.Second, Talk: func(time.Time) []Frame {
		n++
		var b []byte
		field := func(label string, format string, args ...any) {
			b = fmt.Appendf(b, "\r\n"+label+"\t"+format, args...)
		}
		field("PID", "0xA053")
		field("FW", "159")
		field("SER#", "HQ%09d", number)
		field("V", "%d", 12800+n%100)
		field("I", "%d", 1500+n%50)
		field("VPV", "18250")
		field("PPV", "%d", 20+n%10)
		field("CS", "3")
		field("MPPT", "2")
		field("ERR", "0")
		field("LOAD", "ON")
		field("IL", "300")
		field("H19", "%d", n)
		field("H20", "%d", n)
		field("H21", "210")
		field("H22", "143")
		field("H23", "198")
		field("HSDS", "17")
		field("Checksum", "")
		return one(append(b, -byte(sum(b))), n, len(b))
	}}
}
