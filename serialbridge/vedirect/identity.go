package vedirect

import (
	"cmp"
	"strconv"
	"strings"

	"lintel/serialbridge"
)

// An identity is what a block says of its device.
type identity struct {
	pid    string // four hex digits in upper case
	serial string // SER#, empty if there is none
}

// productID returns PID as four digits, or nothing if it is no such number:
// 0x203 and 0xA05F both occur.
func productID(s string) string {
	digits, found := strings.CutPrefix(strings.ToLower(s), "0x")
	n, err := strconv.ParseUint(digits, 16, 16)
	if !found || err != nil {
		return ""
	}
	s = strings.ToUpper(strconv.FormatUint(n, 16))
	return "0000"[:4-len(s)] + s
}

func (i identity) device() serialbridge.Device {
	name, model := product(i.pid)
	return serialbridge.Device{
		ID:           "vedirect_" + cmp.Or(serialbridge.IDPart(i.serial), "pid_"+i.pid),
		Name:         name,
		Vendor:       "Victron Energy",
		Model:        cmp.Or(model, "PID 0x"+i.pid),
		SerialNumber: i.serial,
		Anonymous:    i.serial == "",
	}
}

// firmware returns the version that a block tells. The last two digits of FW
// stand behind the point: 0308 and 139 are 3.08 and 1.39; a letter in front of
// them marks a candidate. FWE has two more digits behind that, which are FF in
// a release (VE.Direct Protocol 3.33).
func firmware(fields []field) string {
	for _, f := range fields {
		v := f.value
		switch f.label {
		case "FW":
			candidate := ""
			if len(v) > 0 && 'A' <= v[0] && v[0] <= 'Z' {
				candidate, v = "-"+v[:1], v[1:]
			}
			if !decimal(v) || len(v) < 3 || v[0] == '-' {
				return ""
			}
			return point(v) + candidate
		case "FWE":
			if len(v) < 5 || !decimal(v[:len(v)-2]) || v[0] == '-' {
				return ""
			}
			number, build := v[:len(v)-2], strings.ToUpper(v[len(v)-2:])
			if build == "FF" {
				return point(number)
			}
			return point(number) + "-beta-" + build
		}
	}
	return ""
}

// point puts a point in front of the last two digits.
func point(digits string) string {
	whole := strings.TrimLeft(digits[:len(digits)-2], "0")
	return cmp.Or(whole, "0") + "." + digits[len(digits)-2:]
}
