package dashboard

import (
	"fmt"
	"math"
)

// Color is the value as #rrggbb; black if it is not known.
func (v propertyView) Color() string {
	object, _ := v.Value.(map[string]any)
	at := func(name string) (float64, bool) { return numberOf(object[name]) }
	r, okR := at("r")
	g, okG := at("g")
	b, okB := at("b")
	if !okR || !okG || !okB {
		x, okX := at("x")
		y, okY := at("y")
		if okX && okY && y > 0 {
			r, g, b = rgbOf(x, y)
		} else if h, okH := at("hue"); okH {
			s, _ := at("saturation")
			r, g, b = rgbOfHue(h, s/100)
		} else {
			return "#000000"
		}
	}
	channel := func(f float64) int { return int(math.Round(min(max(f, 0), 255))) }
	return fmt.Sprintf("#%02x%02x%02x", channel(r), channel(g), channel(b))
}

// rgbOf is a color of the CIE 1931 diagram at full brightness, in sRGB (IEC 61966-2-1).
func rgbOf(x, y float64) (r, g, b float64) {
	X, Z := x/y, (1-x-y)/y
	r, g, b = 3.2406*X-1.5372-0.4986*Z, -0.9689*X+1.8758+0.0415*Z, 0.0557*X-0.2040+1.0570*Z
	most := max(r, g, b)
	curve := func(f float64) float64 {
		f = max(f, 0)
		if most > 0 {
			f /= most
		}
		if f <= 0.0031308 {
			return 255 * 12.92 * f
		}
		return 255 * (1.055*math.Pow(f, 1/2.4) - 0.055)
	}
	return curve(r), curve(g), curve(b)
}

// rgbOfHue is a color of full brightness from its hue in degrees and its saturation.
func rgbOfHue(hue, saturation float64) (r, g, b float64) {
	part := func(n float64) float64 {
		k := math.Mod(n+hue/60, 6)
		return 255 * (1 - saturation*max(0, min(k, 4-k, 1)))
	}
	return part(5), part(3), part(1)
}
