package dsmr

import (
	"cmp"
	"strings"

	"lintel/serialbridge"
)

// identity returns the ID of the electricity meter and the number that it is
// made from, which is empty if the meter does not tell one.
func identity(t *telegram) (id, serial string) {
	// 96.1.1 is the equipment identifier of DSMR, 96.1.0 that of IEC
	// 62056-61, 96.1.255 and 0.0.0 are Easymeter's; 42.0.0 is the COSEM
	// logical device name.
	for _, code := range []string{"0-0:96.1.1", "0-0:96.1.0", "0-0:96.1.255", "0-0:42.0.0", "1-0:0.0.0"} {
		for _, o := range t.objects {
			if o.code != code {
				continue
			}
			if serial := equipment(o.values[0]); serial != "" {
				return deviceID(serial), serial
			}
		}
	}
	if t.title != "" {
		return deviceID(t.title), "" // the header is that of the model
	}
	return deviceID(t.header), ""
}

// equipment returns an equipment identifier as it is printed on the meter, or
// nothing if it is made of zeros. It is text in hex in most dialects and plain
// digits in others; digits that happen to decode to something else than
// letters and digits are left alone.
func equipment(s string) string {
	if text, ok := hexText(s); ok {
		text = strings.TrimSpace(text)
		if strings.Trim(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == "" {
			s = text
		}
	}
	s = strings.TrimSpace(s)
	if strings.Trim(s, "0") == "" {
		return ""
	}
	return s
}

// deviceID makes a serialbridge.Device.ID of an identifier.
func deviceID(identifier string) string {
	const limit = 64
	identifier = identifier[:min(len(identifier), limit)]
	return "dsmr_" + serialbridge.IDPart(identifier)
}

// version returns which P1 the meter speaks: 50 is 5.0 (DSMR 5.0.2 P1);
// Belgium's five digits have no such reading.
func version(t *telegram) string {
	for _, o := range t.objects {
		if o.code != "1-3:0.2.8" && o.code != "0-0:96.1.4" {
			continue
		}
		v := o.values[0]
		if len(v) == 2 && digits(v) {
			v = v[:1] + "." + v[1:]
		}
		if v != "" {
			return "P1 " + v
		}
	}
	return ""
}

// identification returns the maker and the model from the identification line
// XXXZ\WName (IEC 62056-21): manufacturer, baud rate, optional mode,
// name.
func identification(header string) (vendor, model string) {
	flag, name := header[:3], header[3:]
	if c := name[0]; '0' <= c && c <= '9' {
		name = name[1:]
	}
	if len(name) >= 2 && name[0] == '\\' {
		name = name[2:]
	}
	name = strings.Map(func(r rune) rune {
		if r < ' ' {
			return -1
		}
		return r
	}, name)
	vendor = vendors[strings.ToUpper(flag)]
	return vendor, cmp.Or(strings.Trim(name, " -"), flag)
}

// vendors names the makers behind the three letters, from the list of the DLMS
// User Association. Some grid operators put their own letters there.
var vendors = map[string]string{
	"ELS": "Elster",
	"EMH": "EMH metering",
	"ENE": "Enexis",
	"ESY": "EasyMeter",
	"EST": "Sagemcom",
	"FLU": "Fluvius",
	"ISK": "Iskraemeco",
	"ITR": "Itron",
	"KAM": "Kamstrup",
	"KFM": "Kaifa",
	"KMP": "Kamstrup",
	"LGF": "Landis+Gyr",
	"LGZ": "Landis+Gyr",
	"LUX": "Luxmetering",
	"NES": "Networked Energy Services",
	"SAG": "Sagemcom",
	"XMX": "Landis+Gyr",
	"ZIV": "ZIV",
}
