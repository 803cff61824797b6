package hardware

import (
	"path/filepath"
	"strconv"
	"strings"
)

// Trouble is why a Raspberry Pi is slower than it could be: a set.
type Trouble uint8

// What can be the trouble. The bits are those of GET_THROTTLED, the word of the
// firmware, from 0 for what is now and from 16 for what has been.
const (
	UnderVoltage     Trouble = 1 << iota // the power supply or its cable is too weak
	FrequencyCapped                      // the processor may not run at its highest frequency
	Throttled                            // it runs slower than that
	TemperatureLimit                     // the soft limit of the temperature is reached
)

const allTrouble = UnderVoltage | FrequencyCapped | Throttled | TemperatureLimit

// String says what the trouble is, in words for a person; empty: none.
func (t Trouble) String() string {
	var words []string
	for i, word := range []string{"under-voltage", "frequency capped", "throttled", "temperature limit"} {
		if t&(1<<i) != 0 {
			words = append(words, word)
		}
	}
	return strings.Join(words, ", ")
}

// ReadThrottling asks the firmware of a Raspberry Pi what the trouble is and what it was.
// A machine that is not one is not known to have any.
//
// Kernels of Raspberry Pi have get_throttled, the whole word. Its upper half says little:
// the driver of the voltage sensor clears it every two seconds. Who wants to know what has
// been has to note what is. Other kernels have that sensor alone, which tells whether the
// voltage was too low within the last two seconds.
func ReadThrottling(root string) (now, been Trouble, known bool) {
	// soc/soc:firmware, on a Raspberry Pi 5 soc@107c000000/soc@107c000000:firmware.
	for _, name := range glob(root, "sys/devices/platform/soc*/soc*:firmware/get_throttled") {
		word, err := strconv.ParseUint(strings.TrimPrefix(readString(name), "0x"), 16, 32)
		if err == nil {
			now, been, known = Trouble(word)&allTrouble, Trouble(word>>16)&allTrouble, true
		}
	}
	for _, name := range glob(root, "sys/class/hwmon/hwmon*/name") {
		if readString(name) != "rpi_volt" {
			continue
		}
		switch readString(filepath.Dir(name), "in0_lcrit_alarm") {
		case "1":
			now |= UnderVoltage
			fallthrough
		case "0":
			known = true
		}
	}
	return now, been | now, known
}

// glob returns the files below root that match, at most as many as a machine has.
func glob(root, pattern string) []string {
	names, err := filepath.Glob(filepath.Join("/", root, pattern))
	if err != nil {
		return nil // the patterns are ours
	}
	return names[:min(len(names), 64)]
}
