package simulator

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// mysensorsGateway is a MySensors gateway with a node that meters power (Serial Protocol
// 2.x). It counts Wh. The node presents itself when it is asked to, and confirms
// what it is set to.
func mysensorsGateway(number uint64) Device {
	// Three digits, so that a line that is cut does not end in the number of
	// another node.
	node := 200 + number%50
	const child = 10
	message := func(n int64, child, command, ack, typ int, payload string) Frame {
		return Frame{Data: fmt.Appendf(nil, "%d;%d;%d;%d;%d;%s\n", node, child, command, ack, typ, payload), Count: n}
	}
	n := int64(0)
	return Device{
		Protocol: "mysensors", Interval: time.Second,
		Talk: func(time.Time) []Frame {
			n++
			return []Frame{message(n, child, 1, 0, 18, fmt.Sprintf("%d.%03d", n/1000, n%1000))} // V_KWH
		},
		Answer: func(heard []byte) (int, []Frame) {
			end := bytes.IndexByte(heard, '\n') + 1
			fields := strings.SplitN(string(bytes.TrimSpace(heard[:end])), ";", 6)
			if len(fields) != 6 || fields[0] != strconv.FormatUint(node, 10) {
				return end, nil
			}
			switch {
			case fields[2] == "3" && fields[4] == "19": // I_PRESENTATION
				return end, []Frame{
					message(0, 255, 0, 0, 17, "2.3.2"),
					message(0, 255, 3, 0, 11, "Power meter"), // I_SKETCH_NAME
					message(0, 255, 3, 0, 12, "1.0"),         // I_SKETCH_VERSION
					message(0, child, 0, 0, 13, "House"),     // S_POWER
				}
			case fields[2] == "1" && fields[3] == "1": // set, to be confirmed
				fields[3] = "1"
				return end, []Frame{{Data: []byte(strings.Join(fields, ";") + "\n")}}
			}
			return end, nil
		},
	}
}
