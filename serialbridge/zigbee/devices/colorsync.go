package devices

import (
	"maps"
	"math"
)

// The modes of a color, as the state tells them (attribute ColorMode, section 5.2.2.2.1.9).
var colorModes = []string{"hs", "xy", "color_temp"}

// syncColor returns color, color_temp and color_mode after a change: whatever a lamp
// shows is told in all the ways in which its state has been told so far, the
// other ones reckoned from the one that counts now. The option color_sync = false
// leaves it at what has changed. low and high are the bounds of the color
// temperature that the lamp has told, or nothing.
//
// The values of the changed are by name without endpoint; old finds the last
// known ones. It returns nil for a color temperature that there is not.
func syncColor(changed Values, old func(string) any, options Values, low, high float64) Values {
	result := make(Values)
	if sync, ok := options["color_sync"]; ok && sync != nil && !truthy(sync) {
		for _, name := range []string{"color_mode", "color", "color_temp"} {
			if v, ok := changed[name]; ok {
				result[name] = v
			}
		}
		return result
	}
	changedColor, hasColor := changed["color"].(map[string]any)
	oldColor, _ := old("color").(map[string]any)

	mode, _ := changed["color_mode"].(string)
	if changed["color_mode"] == nil {
		mode, _ = old("color_mode").(string)
	}
	if mode == "" {
		if changed["color_temp"] != nil {
			mode = "color_temp"
		}
		if hasColor {
			mode = "xy"
			if changedColor["hue"] != nil {
				mode = "hs"
			}
		}
	}
	if changed["color_mode"] != nil {
		result["color_mode"] = changed["color_mode"]
	} else if mode != "" {
		result["color_mode"] = mode
	}

	both := func(color map[string]any, a, b string) bool { return color[a] != nil && color[b] != nil }
	wantTemperature := changed["color_temp"] != nil || old("color_temp") != nil
	wantHS := both(oldColor, "hue", "saturation") || both(changedColor, "hue", "saturation")
	wantXY := both(oldColor, "x", "y") || both(changedColor, "x", "y")

	color := make(map[string]any)
	take := func(name string) (float64, bool) {
		v := changedColor[name]
		if v == nil {
			v = oldColor[name]
		}
		if v == nil {
			return 0, false
		}
		color[name] = v
		return numeric(v)
	}
	putHS := func(c rgb) {
		h, s, _ := c.hsv()
		color["hue"], color["saturation"] = math.Mod(round(h, 0), 360), round(s, 0)
	}
	putXY := func(c xy) {
		c = c.rounded(4)
		color["x"], color["y"] = c.x, c.y
	}
	putTemperature := func(c xy) {
		if mireds := round(c.mireds(), 0); !math.IsInf(mireds, 0) && !math.IsNaN(mireds) {
			result["color_temp"] = clampTemperature(mireds, low, high)
		}
	}
	switch mode {
	case "hs":
		h, ok1 := take("hue")
		s, ok2 := take("saturation")
		if ok1 && ok2 {
			c := hsv{hue: &h, saturation: &s}.xy()
			if wantTemperature {
				putTemperature(c)
			}
			if wantXY {
				putXY(c)
			}
		}
	case "xy":
		x, ok1 := take("x")
		y, ok2 := take("y")
		if ok1 && ok2 {
			c := xy{x, y}
			if wantTemperature {
				putTemperature(c)
			}
			if wantHS {
				putHS(c.rgb())
			}
		}
	case "color_temp":
		mireds := changed["color_temp"]
		if mireds == nil {
			mireds = old("color_temp")
		}
		if mireds == nil {
			break
		}
		result["color_temp"] = mireds
		f, _ := numeric(mireds)
		c, err := temperature(f)
		if err != nil {
			return nil // no lamp has it: nothing of this can be believed
		}
		if wantXY {
			putXY(c)
		}
		if wantHS {
			putHS(c.rgb())
		}
	}
	if len(color) > 0 {
		result["color"] = color
	}
	return result
}

// clampTemperature keeps a color temperature within bounds; 0: there is none.
func clampTemperature(mireds, low, high float64) float64 {
	switch {
	case low != 0 && mireds < low:
		return low
	case high != 0 && mireds > high:
		return high
	}
	return mireds
}

// temperatureRange returns the bounds of the color temperature that the lamp has
// told (ColorTempPhysicalMinMireds and Max); 0: not told.
func (c *Context) temperatureRange(endpoint uint8) (low, high float64) {
	read := func(id uint16) float64 {
		v, _ := c.Attribute(endpoint, clusterColor, id)
		f, _ := numeric(v)
		return f
	}
	return read(attrColorTempMin), read(attrColorTempMax)
}

// settableRange is that, or what the definition says where the lamp has told nothing.
func (c *Context) settableRange() (low, high float64) {
	low, high = c.temperatureRange(c.target(clusterColor))
	if f := c.feature("color_temp"); f != nil {
		if low == 0 && f.ValueMin != nil {
			low = *f.ValueMin
		}
		if high == 0 && f.ValueMax != nil {
			high = *f.ValueMax
		}
	}
	return low, high
}

// synced adds what follows from a change that a command makes.
func (c *Context) synced(changed Values) Values {
	low, high := c.temperatureRange(c.target(clusterColor))
	if c.Group {
		low, high = c.settableRange()
	}
	result := maps.Clone(changed)
	// What cannot be is refused where it is sent.
	maps.Copy(result, syncColor(changed, c.state, c.Options, low, high))
	return result
}
