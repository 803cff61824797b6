package dashboard

import (
	"html/template"
	"strings"
)

// symbols are the names of drawings, and what a name of an icon or a kind of
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

// drawings are the symbols as SVG, in a box of 24 by 24.
var drawings = map[string]template.HTML{
	"device":  `<rect x="5" y="5" width="14" height="14" rx="3"/><circle cx="12" cy="12" r="2.5"/>`,
	"light":   `<path d="M12 3a6 6 0 0 0-3.5 10.9V16h7v-2.1A6 6 0 0 0 12 3z"/><path d="M9.5 19h5M10.5 21.5h3"/>`,
	"lock":    `<rect x="5" y="11" width="14" height="9" rx="2"/><path d="M8 11V8a4 4 0 0 1 8 0v3"/>`,
	"cover":   `<path d="M4 4h16M6 4v16h12V4M6 8h12M6 12h12M6 16h12"/>`,
	"climate": `<path d="M12 3a2 2 0 0 0-2 2v9a4 4 0 1 0 4 0V5a2 2 0 0 0-2-2zM12 9v8"/>`,
	"fan":     `<circle cx="12" cy="12" r="1.8"/><path d="M12 10c-1-3 0-6 3-6s2 4-1.5 6.8M13.8 13c3-1 6 0 6 3s-4 2-6.5-1.3M10.2 13c-2 2.5-5 3-6 .5s2-4 5.8-2.5"/>`,
	"door":    `<path d="M6 21V3h12v18M3 21h18"/><circle cx="14.5" cy="12.5" r="1"/>`,
	"motion":  `<circle cx="13" cy="4.5" r="2"/><path d="M12 8l-3 5 4 3v6M9 13l-4 2M13 10l4 3M10 17l-2 5"/>`,
	"water":   `<path d="M12 3c4 5 6 8 6 11a6 6 0 0 1-12 0c0-3 2-6 6-11z"/>`,
	"alarm":   `<path d="M6 17V11a6 6 0 0 1 12 0v6l2 2H4zM10 21.5h4"/>`,
	"meter":   `<circle cx="12" cy="12" r="9"/><path d="M13 6l-4 7h3l-1 5 4-7h-3z"/>`,
	"switch":  `<rect x="2" y="7" width="20" height="10" rx="5"/><circle cx="17" cy="12" r="3"/>`,
	"remote":  `<rect x="7" y="2" width="10" height="20" rx="3"/><circle cx="12" cy="8" r="2"/><path d="M12 14v4"/>`,
	"air":     `<path d="M3 9h11a3 3 0 1 0-3-3M3 13h15a3 3 0 1 1-3 3M3 17h7"/>`,
	"place":   `<path d="M12 2a7 7 0 0 1 7 7c0 5-7 13-7 13S5 14 5 9a7 7 0 0 1 7-7z"/><circle cx="12" cy="9" r="2.5"/>`,
}

// drawingOf returns the drawing of a symbol.
func drawingOf(symbol string) template.HTML { return drawings[symbol] }
