package devices

import (
	"encoding/binary"
	"fmt"
	"strings"

	"lintel/serialbridge/zigbee/zcl"
)

// breakerFaults are the bits that circuit breakers tell of.
var breakerFaults = []string{
	"short_circuit", "surge", "overload", "leakage_current", "temperature", "fire", "high_power", "self_test",
	"over_current", "unbalance", "over_voltage", "under_voltage", "miss_phase", "outage", "", "credit", "no_balance",
}

func decodeFaults(fifteenth string) func(*Context, any, any) (any, bool) {
	return func(_ *Context, raw, _ any) (any, bool) {
		n, ok := numberOf(raw)
		faults := []any{}
		for i, name := range breakerFaults {
			if int64(n)>>i&1 != 0 {
				if name == "" {
					name = fifteenth
				}
				faults = append(faults, name)
			}
		}
		return faults, ok
	}
}

// breaker is a list of alarms of a circuit breaker, four bytes each: which, whether it
// opens the circuit, from what value on.
func breaker(id uint8, alarms map[byte]string) namedConversion {
	return namedConversion{
		decode: func(_ *Context, raw, _ any) (any, bool) {
			b, ok := octets(raw)
			values := Values{}
			for ; len(b) >= 4; b = b[4:] {
				name, listed := alarms[b[0]]
				if !listed {
					continue
				}
				if b[1] <= 1 {
					values[name+"_breaker"] = []string{"OFF", "ON"}[b[1]]
				}
				values[name+"_threshold"] = be(b, 2, 2)
			}
			return values, ok
		},
		encode: func(c *Context, _, _ any) (any, error) { return encodeBreaker(c, id, alarms) },
	}
}

// encodeBreaker sends one alarm: what the user says of it, the rest as it is known. Alarms
// lie one after the other, so others before it are zero.
func encodeBreaker(c *Context, id uint8, alarms map[byte]string) (any, error) {
	for position, which := range [][]byte{{3, 1}, {4, 3}, {5, 4}, {8}} {
		for _, alarm := range which {
			name, listed := alarms[alarm]
			if !listed || alarmPosition(id, alarm) != position {
				continue
			}
			state, hasState := c.Message[name+"_breaker"]
			threshold, hasThreshold := c.Message[name+"_threshold"]
			if !hasState && !hasThreshold {
				continue
			}
			if !hasState {
				state = c.State[name+"_breaker"]
			}
			if !hasThreshold {
				threshold = c.State[name+"_threshold"]
			}
			n, ok := zcl.Float(threshold)
			if !ok || n < 0 || n > 0xffff {
				return nil, fmt.Errorf("the threshold of %s is not known yet: set it together with the breaker", name)
			}
			data := make([]byte, 4*position+4)
			data[4*position] = alarm
			if strings.EqualFold(fmt.Sprint(state), "on") {
				data[4*position+1] = 1
			}
			if position == 0 {
				data[3] = byte(n) // one byte, as the library sends it
			} else {
				binary.BigEndian.PutUint16(data[4*position+2:], uint16(n))
			}
			return []point{{id: id, typ: pointRaw, data: data}}, nil
		}
	}
	return nil, fmt.Errorf("no alarm of the breaker is named")
}

// alarmPosition is where an alarm lies in the datapoint.
func alarmPosition(id uint8, alarm byte) int {
	order := []byte{3, 4, 5}
	if id == 18 {
		order = []byte{1, 3, 4, 8}
	}
	for i, a := range order {
		if a == alarm {
			return i
		}
	}
	return -1
}
