package simulator

import (
	"fmt"
	"time"
)

// satelliteReceiver is a GPS receiver that stands still (NMEA 0183). It counts 0.1
// m of altitude in GGA and 0.1 km/h of speed in VTG, in turn; RMC has no count.
func satelliteReceiver() Device {
	n := int64(0)
	return Device{Protocol: "nmea", Interval: time.Second, Talk: func(now time.Time) []Frame {
		now = now.UTC()
		clock := now.Format("150405.00")
		const position = "4717.11399,N,00833.91590,E"
		n += 2
		return []Frame{
			sentence(0, "GPRMC,%s,A,%s,,,%s,,,A", clock, position, now.Format("020106")),
			sentence(n-1, "GPGGA,%s,%s,1,08,1.01,%d.%d,M,48.0,M,,", clock, position, (n-1)/10, (n-1)%10),
			sentence(n, "GPVTG,77.52,T,,M,0.004,N,%d.%d,K,A", n/10, n%10),
		}
	}}
}

func sentence(n int64, format string, args ...any) Frame {
	b := fmt.Appendf([]byte{'$'}, format, args...)
	sum := byte(0)
	for _, c := range b[1:] {
		sum ^= c
	}
	b = append(b, '*')
	return Frame{Data: fmt.Appendf(b, "%02X\r\n", sum), Count: n, Sum: len(b)}
}
