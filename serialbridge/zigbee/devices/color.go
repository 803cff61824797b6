package devices

import (
	_ "embed"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
)

// Colors as zigbee2mqtt reckons with them, so that what a user sets and what he
// sees agree with it digit by digit: sRGB to CIE 1931 with the wide gamut D65
// matrices, color temperatures by a table of the black body.

// rgb is a color of light, 0 to 1 each.
type rgb struct{ r, g, b float64 }

// xy is a color in the CIE 1931 space.
type xy struct{ x, y float64 }

// hsv is a hue of 0 to 360, and saturation and value of 0 to 100; nil: not said.
type hsv struct{ hue, saturation, value *float64 }

// parseColor reads a color in any of the forms that a user may write: x and y; r, g
// and b (0 to 255); rgb, hsv, hsb and hsl as "1,2,3"; hex; h, s, l, b, v; hue and
// saturation.
func parseColor(value any) (any, error) {
	if text, ok := value.(string); ok {
		if strings.HasPrefix(text, "#") {
			return parseHex(text)
		}
		return nil, invalidColor(value)
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, invalidColor(value)
	}
	has := func(names ...string) bool {
		for _, name := range names {
			if object[name] == nil {
				return false
			}
		}
		return true
	}
	var bad error
	number := func(name string) float64 {
		f, ok := numeric(object[name])
		if !ok {
			bad = notNumber("color."+name, object[name])
		}
		return f
	}
	three := func(name string) (a, b, c float64) {
		text, _ := object[name].(string)
		parts := strings.Split(text, ",")
		if len(parts) != 3 {
			bad = fmt.Errorf("color.%s must be three numbers with commas between, not %s", name, quoted(object[name]))
			return
		}
		var n [3]float64
		for i, p := range parts {
			whole, err := strconv.Atoi(strings.TrimSpace(p))
			if err != nil {
				bad = notNumber("color."+name, object[name])
			}
			n[i] = float64(whole)
		}
		return n[0], n[1], n[2]
	}
	var found any
	switch {
	case has("x", "y"):
		found = xy{number("x"), number("y")}
	case has("r", "g", "b"):
		found = rgb{number("r") / 255, number("g") / 255, number("b") / 255}
	case has("rgb"):
		r, g, b := three("rgb")
		found = rgb{r / 255, g / 255, b / 255}
	case has("hex"):
		text, _ := object["hex"].(string)
		return parseHex(text)
	case has("h", "s", "l"):
		found = fromHSL(number("h"), number("s"), number("l"))
	case has("hsl"):
		found = fromHSL(three("hsl"))
	case has("h", "s", "b"):
		found = newHSV(number("h"), number("s"), number("b"))
	case has("hsb"):
		found = newHSV(three("hsb"))
	case has("h", "s", "v"):
		found = newHSV(number("h"), number("s"), number("v"))
	case has("hsv"):
		found = newHSV(three("hsv"))
	default:
		var c hsv
		hue, saturation := "hue", "saturation"
		if has("h") || has("s") {
			hue, saturation = "h", "s"
		}
		if has(hue) {
			h := math.Mod(number(hue), 360)
			c.hue = &h
		}
		if has(saturation) {
			s := number(saturation)
			c.saturation = &s
		}
		if hue == "hue" && has("value") {
			v := number("value")
			c.value = &v
		}
		if c.hue == nil && c.saturation == nil {
			return nil, invalidColor(value)
		}
		found = c
	}
	return found, bad
}

func invalidColor(value any) error {
	return fmt.Errorf("%s is no color: write x and y, hue and saturation, or hex", quoted(value))
}

func parseHex(text string) (any, error) {
	n, err := strconv.ParseUint(strings.ReplaceAll(text, "#", ""), 16, 32)
	if err != nil {
		return nil, fmt.Errorf("%q is no color in hex, such as #ff8000", text)
	}
	return rgb{float64(n>>16&255) / 255, float64(n>>8&255) / 255, float64(n&255) / 255}, nil
}

func newHSV(h, s, v float64) hsv {
	h = math.Mod(h, 360)
	return hsv{&h, &s, &v}
}

func fromHSL(h, s, l float64) hsv {
	v := s*min(l, 100-l)/100 + l
	s = 0
	if v != 0 {
		s = 200 * (1 - l/v)
	}
	return newHSV(h, s, v)
}

// linear undoes the gamma of sRGB.
func (c rgb) linear() rgb {
	f := func(v float64) float64 {
		if v > 0.04045 {
			return math.Pow((v+0.055)/(1.0+0.055), 2.4)
		}
		return v / 12.92
	}
	return rgb{f(c.r), f(c.g), f(c.b)}
}

func (c rgb) xy() xy {
	x := c.r*0.664511 + c.g*0.154324 + c.b*0.162028
	y := c.r*0.283881 + c.g*0.668433 + c.b*0.047685
	z := c.r*0.000088 + c.g*0.07231 + c.b*0.986039
	sum := x + y + z
	if sum == 0 {
		return xy{}
	}
	return xy{x / sum, y / sum}
}

func (c rgb) hsv() (h, s, v float64) {
	high, low := max(c.r, c.g, c.b), min(c.r, c.g, c.b)
	d := high - low
	if high != 0 {
		s = d / high
	}
	switch high {
	case low:
	case c.r:
		h = c.g - c.b
		if c.g < c.b {
			h += d * 6
		}
		h /= 6 * d
	case c.g:
		h = (c.b - c.r + d*2) / (6 * d)
	case c.b:
		h = (c.r - c.g + d*4) / (6 * d)
	}
	return math.Mod(h*360, 360), s * 100, high * 100
}

// rgb is the color at full brightness.
func (c xy) rgb() rgb {
	z := 1.0 - c.x - c.y
	const Y = 1.0
	X, Z := Y/c.y*c.x, Y/c.y*z
	red := X*1.656492 - Y*0.354851 - Z*0.255038
	green := -X*0.707196 + Y*1.655397 + Z*0.036152
	blue := X*0.051713 - Y*0.121364 + Z*1.01153
	switch {
	case red > blue && red > green && red > 1.0:
		red, green, blue = 1, green/red, blue/red
	case green > blue && green > red && green > 1.0:
		red, green, blue = red/green, 1, blue/green
	case blue > red && blue > green && blue > 1.0:
		red, green, blue = red/blue, green/blue, 1
	}
	positive := func(f float64) float64 {
		if math.IsNaN(f) || f < 0 {
			return 0
		}
		return f
	}
	return rgb{positive(red), positive(green), positive(blue)}
}

// mireds is the nearest color temperature (McCamy's formula).
func (c xy) mireds() float64 {
	n := (c.x - 0.332) / (0.1858 - c.y)
	return 1000000 / math.Abs(437*math.Pow(n, 3)+3601*math.Pow(n, 2)+6861*n+5517)
}

func (c xy) rounded(places int) xy { return xy{round(c.x, places), round(c.y, places)} }

// complete are the numbers with what was not said at its most.
func (c hsv) complete() (h, s, v float64) {
	h, s, v = 0, 100, 100
	if c.hue != nil {
		h = math.Mod(*c.hue, 360)
	}
	if c.saturation != nil {
		s = *c.saturation
	}
	if c.value != nil {
		v = *c.value
	}
	return h, s, v
}

func (c hsv) rgb() rgb {
	h, s, v := c.complete()
	h, s, v = h/360, s/100, v/100
	i := math.Floor(h * 6)
	f := h*6 - i
	p, q, t := v*(1-s), v*(1-f*s), v*(1-(1-f)*s)
	switch int(math.Mod(i, 6)) {
	case 0:
		return rgb{v, t, p}
	case 1:
		return rgb{q, v, p}
	case 2:
		return rgb{p, v, t}
	case 3:
		return rgb{p, q, v}
	case 4:
		return rgb{t, p, v}
	}
	return rgb{v, p, q}
}

func (c hsv) xy() xy { return c.rgb().xy() }

// corrected moves the hue as the option hue_correction says, a list of {in, out}
// between which it is interpolated.
func (c hsv) corrected(options Values) hsv {
	list, _ := options["hue_correction"].([]any)
	if c.hue == nil || len(list) < 2 {
		return c
	}
	type point struct{ in, out float64 }
	left, right := point{0, 0}, point{359, 359}
	haveLeft, haveRight := false, false
	for _, item := range list {
		object, _ := item.(map[string]any)
		in, ok1 := numeric(object["in"])
		out, ok2 := numeric(object["out"])
		if !ok1 || !ok2 {
			continue
		}
		if in <= *c.hue && (!haveLeft || in > left.in) {
			left, haveLeft = point{in, out}, true
		}
		if in > *c.hue && (!haveRight || in < right.in) {
			right, haveRight = point{in, out}, true
		}
	}
	ratio := 1 - (right.in-*c.hue)/(right.in-left.in)
	hue := math.Mod(round(left.out+ratio*(right.out-left.out), 0), 360)
	c.hue = &hue
	return c
}

// The table of the black body: a line of x and y for every 10 kelvin from 1000 on.
//
//go:embed blackbody.txt
var blackbodyTable string

var blackbody = sync.OnceValue(func() []xy {
	var table []xy
	for line := range strings.Lines(blackbodyTable) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var c xy
		if _, err := fmt.Sscan(line, &c.x, &c.y); err != nil {
			panic("devices: blackbody.txt: " + err.Error())
		}
		table = append(table, c)
	}
	return table
})

var errTemperature = errors.New("a color temperature must be between 50 and 1000 mired")

// temperature is the color of a black body of that temperature.
func temperature(mireds float64) (xy, error) {
	kelvin := math.Floor(1000000/mireds + 0.5)
	table := blackbody()
	row := math.Floor((kelvin - 1000) / 10)
	if !(row >= 0 && row < float64(len(table))) {
		return xy{}, errTemperature
	}
	return table[int(row)], nil
}
