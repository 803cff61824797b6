package simulator

import (
	"bytes"
	"fmt"
	"time"
)

// rflinkGateway is an RFLink gateway that hears a rain gauge (RFLink Protocol Reference).
// It counts 0.1 mm, up to 6553.5 and then from 0. What it is told to send it
// confirms.
func rflinkGateway(number uint64) Device {
	n, sequence := int64(0), byte(0)
	line := func(n int64, format string, args ...any) Frame {
		b := fmt.Appendf(nil, "20;%02X;", sequence)
		sequence++
		return Frame{Data: append(fmt.Appendf(b, format, args...), '\r', '\n'), Count: n}
	}
	return Device{
		Protocol: "rflink", Interval: time.Second,
		Talk: func(time.Time) []Frame {
			n++
			return []Frame{line(n, "UPM/Esic;ID=%04x;RAIN=%04x;BAT=OK;", number+1, uint16(n))}
		},
		Answer: func(heard []byte) (int, []Frame) {
			end := bytes.IndexByte(heard, '\n') + 1
			if end == 0 || !bytes.HasPrefix(heard, []byte("10;")) {
				return end, nil
			}
			if bytes.HasPrefix(heard, []byte("10;PING;")) {
				return end, []Frame{line(0, "PONG;")}
			}
			return end, []Frame{line(0, "OK;")}
		},
	}
}
