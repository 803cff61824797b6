package dashboard

import "strings"

// symbols are the drawings in static/devices.svg, and what a name of an icon or a kind of
// device has in it to be drawn as one. The first that fits counts.
var symbols = []struct {
	name  string
	words []string
}{
	{"light", []string{"light", "lamp", "bulb", "led-", "chandelier"}},
	{"lock", []string{"lock", "key"}},
	{"cover", []string{"cover", "blind", "shutter", "curtain", "garage", "roller", "valve"}},
	{"climate", []string{"climate", "thermostat", "radiator", "heat", "temperature", "thermometer", "humidity", "snowflake"}},
	{"fan", []string{"fan"}},
	{"door", []string{"door", "contact", "window", "opening"}},
	{"motion", []string{"motion", "occupancy", "presence", "run", "walk"}},
	{"water", []string{"water", "leak", "moisture", "rain", "pump"}},
	{"alarm", []string{"smoke", "siren", "alarm", "gas", "carbon_monoxide", "bell", "fire"}},
	{"meter", []string{"energy", "power", "meter", "voltage", "current", "solar", "battery", "gauge", "flash"}},
	{"switch", []string{"switch", "plug", "socket", "outlet", "toggle", "button"}},
	{"remote", []string{"action", "event", "remote", "gesture"}},
	{"air", []string{"pm25", "pm10", "pm1", "co2", "carbon_dioxide", "air", "aqi", "weather", "wind"}},
	{"place", []string{"tracker", "map", "car", "gps"}},
}

// symbolOf returns the drawing for an icon of Material Design, such as mdi:sofa, or for a
// kind of device.
func symbolOf(icon, kind string) string {
	for _, of := range []string{strings.TrimPrefix(icon, "mdi:"), kind} {
		for _, s := range symbols {
			for _, word := range s.words {
				if of != "" && strings.Contains(of, word) {
					return s.name
				}
			}
		}
	}
	return "device"
}
