package devices

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// Attributes and commands of the Color Control cluster (section 5.2).
const (
	attrCurrentHue         = 0x0000
	attrCurrentSaturation  = 0x0001
	attrCurrentX           = 0x0003
	attrCurrentY           = 0x0004
	attrColorTemperature   = 0x0007
	attrColorMode          = 0x0008
	attrColorOptions       = 0x000f
	attrEnhancedHue        = 0x4000
	attrColorCapabilities  = 0x400a
	attrColorTempMin       = 0x400b
	attrColorTempMax       = 0x400c
	attrStartUpTemperature = 0x4010

	cmdMoveToHue                 = 0x00
	cmdMoveHue                   = 0x01
	cmdStepHue                   = 0x02
	cmdMoveToSaturation          = 0x03
	cmdMoveSaturation            = 0x04
	cmdStepSaturation            = 0x05
	cmdMoveToHueAndSaturation    = 0x06
	cmdMoveToColor               = 0x07
	cmdMoveToColorTemperature    = 0x0a
	cmdEnhancedMoveToHue         = 0x40
	cmdEnhancedMoveToHueSat      = 0x43
	cmdColorLoopSet              = 0x44
	cmdStopMoveStep              = 0x47
	cmdMoveColorTemperature      = 0x4b
	cmdStepColorTemperature      = 0x4c
	previousTemperature          = 0xffff // of StartUpColorTemperatureMireds
	warmestStepped, coolestMoved = 600, 153
)

// color is the color and the color temperature of a light: one trait, because a
// lamp shows one of them at a time.
var color = &Trait{
	Name:      "color",
	Exposes:   []string{"color_xy", "color_hs", "color_temp"},
	Clusters:  []uint16{clusterColor},
	Decode:    decodeColor,
	Keys:      []string{"color", "color_temp", "color_temp_percent"},
	Set:       setColor,
	Get:       getColor,
	Configure: configureColor,
}

var (
	colorMode = &Trait{
		Name: "color_mode", Exposes: color.Exposes, Clusters: color.Clusters,
		Keys: []string{"color_mode"}, Get: reads(clusterColor, attrColorMode),
	}
	colorOptions = &Trait{
		Name: "color_options", Exposes: append([]string{"color_options"}, color.Exposes...), Clusters: color.Clusters,
		Keys: []string{"color_options"}, Set: setColorOptions, Get: reads(clusterColor, attrColorOptions),
	}
	temperatureStartUp = &Trait{
		Name: "color_temp_startup", Exposes: []string{"color_temp_startup"}, Clusters: color.Clusters,
		Keys: []string{"color_temp_startup"}, Set: setTemperatureStartUp, Get: reads(clusterColor, attrStartUpTemperature),
	}
)

// huesAndSaturations says whether the lamp takes hue and saturation; xy they all take.
func (c *Context) huesAndSaturations() bool {
	if _, ok := c.Definition.quirk("supportsHueAndSaturation"); ok {
		return c.Definition.is("supportsHueAndSaturation")
	}
	return hasExpose(c.Definition, "color_hs")
}

func decodeColor(c *Context, m zigbee.Message) Values {
	changed := make(Values)
	if v, ok := standardNumber(m, attrColorTemperature); ok {
		changed["color_temp"] = v
	}
	if v, ok := standardNumber(m, attrStartUpTemperature); ok {
		changed["color_temp_startup"] = v
	}
	if v, ok := standardNumber(m, attrColorMode); ok {
		changed["color_mode"] = v
		if word, ok := wordAt(colorModes, v); ok {
			changed["color_mode"] = word
		}
	}
	parts := make(map[string]any)
	part := func(name string, id uint16, from, to float64, places int) {
		if f, ok := standardNumber(m, id); ok {
			parts[name] = rescale(f, 0, from, 0, to, places)
		}
	}
	part("x", attrCurrentX, 65535, 1, 4)
	part("y", attrCurrentY, 65535, 1, 4)
	part("saturation", attrCurrentSaturation, 254, 100, 0)
	part("hue", attrCurrentHue, 254, 360, 0)
	part("hue", attrEnhancedHue, 65535, 360, 1)
	if len(parts) > 0 {
		changed["color"] = parts
	}
	if v, ok := standardNumber(m, attrColorOptions); ok {
		changed["color_options"] = map[string]any{"execute_if_off": uint8(v)&1 != 0}
	}
	if len(changed) == 0 {
		return nil
	}
	low, high := c.temperatureRange(m.Endpoint)
	old := func(name string) any { return c.State[c.Definition.property(name, m.Endpoint)] }
	synced := syncColor(changed, old, c.Options, low, high)
	if synced == nil {
		return nil
	}
	maps.Copy(changed, synced)
	return changed
}

func setColor(c *Context, key string, value any) (Result, error) {
	if key == "color" {
		return setColorValue(c, value)
	}
	return setTemperature(c, key, value)
}

func setColorValue(c *Context, value any) (Result, error) {
	parsed, err := parseColor(value)
	if err != nil {
		return Result{}, err
	}
	time, err := transitionTime(c, "color")
	if err != nil {
		return Result{}, err
	}
	if h, ok := parsed.(hsv); ok && c.huesAndSaturations() {
		return setHue(c, h, value, time)
	}
	var at xy
	switch p := parsed.(type) {
	case xy:
		at = p
	case rgb:
		at = p.linear().xy().rounded(4)
	case hsv:
		at = p.corrected(c.Options).xy().rounded(4)
	}
	// Some lamps do not answer to the very red of Home Assistant's color wheel.
	if c.Definition.is("applyRedFix") && at == (xy{0.701, 0.299}) {
		at = xy{0.7006, 0.2993}
	}
	r, err := moveToColor(c, at, time)
	r.State = c.synced(Values{"color_mode": "xy", "color": map[string]any{"x": at.x, "y": at.y}})
	return r, err
}

func moveToColor(c *Context, at xy, time uint16) (Result, error) {
	x, err := wordOf("color.x × 65535", rescale(at.x, 0, 1, 0, 65535, 0))
	if err != nil {
		return Result{}, err
	}
	y, err := wordOf("color.y × 65535", rescale(at.y, 0, 1, 0, 65535, 0))
	return sends(command(c, clusterColor, cmdMoveToColor, pack(x, y, time, tail(c))), nil), err
}

// setHue sends hue and saturation as such, the value as a level.
func setHue(c *Context, h hsv, value any, time uint16) (Result, error) {
	enhanced := c.Definition.is("supportsEnhancedHue")
	parts := make(map[string]any)
	if h.hue != nil {
		parts["hue"] = *h.hue
	}
	if h.saturation != nil {
		parts["saturation"] = *h.saturation
	}
	to := h.corrected(c.Options)
	var r Result
	var bad error
	send := func(cluster uint16, id uint8, fields ...any) {
		r.Requests = append(r.Requests, command(c, cluster, id, pack(append(fields, tail(c))...)))
	}
	small := func(name string, f *float64, from float64) uint8 {
		b, err := byteOf(name, rescale(*f, 0, from, 0, 254, 0))
		if err != nil {
			bad = err
		}
		return b
	}
	large := func(f *float64) uint16 {
		w, err := wordOf("color.hue", rescale(*f, 0, 360, 0, 65535, 0))
		if err != nil {
			bad = err
		}
		return w
	}
	if to.value != nil {
		send(clusterLevel, cmdMoveToLevel+withOnOff, small("color.value", to.value, 100), time)
	}
	switch {
	case to.hue != nil && to.saturation != nil && enhanced:
		send(clusterColor, cmdEnhancedMoveToHueSat, large(to.hue), small("color.saturation", to.saturation, 100), time)
	case to.hue != nil && to.saturation != nil:
		send(clusterColor, cmdMoveToHueAndSaturation, small("color.hue", to.hue, 360), small("color.saturation", to.saturation, 100), time)
	case to.hue != nil:
		object, _ := value.(map[string]any)
		way, _ := numeric(object["direction"])
		direction, err := byteOf("color.direction", way)
		if err != nil {
			return Result{}, err
		}
		if enhanced {
			send(clusterColor, cmdEnhancedMoveToHue, large(to.hue), direction, time)
		} else {
			send(clusterColor, cmdMoveToHue, small("color.hue", to.hue, 360), direction, time)
		}
	default:
		send(clusterColor, cmdMoveToSaturation, small("color.saturation", to.saturation, 100), time)
	}
	if bad != nil {
		return Result{}, bad
	}
	r.State = c.synced(Values{"color_mode": "hs", "color": parts})
	return r, nil
}

// temperaturePresets are the names of color temperatures.
func temperaturePresets(low, high float64) map[string]float64 {
	presets := map[string]float64{"cool": 250, "neutral": 370, "warm": 454}
	if low != 0 {
		presets["coolest"] = low
	}
	if high != 0 {
		presets["warmest"] = high
	}
	return presets
}

func setTemperature(c *Context, key string, value any) (Result, error) {
	low, high := c.settableRange()
	var mireds float64
	if key == "color_temp_percent" {
		percent, ok := strictNumber(value)
		if !ok {
			return Result{}, notNumber(key, value)
		}
		coolest, warmest := low, high
		if coolest == 0 {
			coolest = 154
		}
		if warmest == 0 {
			warmest = 500
		}
		mireds = rescale(percent, 0, 100, coolest, warmest, 0)
	} else if name, ok := value.(string); ok && temperaturePresets(low, high)[name] != 0 {
		mireds = temperaturePresets(low, high)[name]
	} else if mireds, ok = numeric(value); !ok {
		return Result{}, notNumber(key, value)
	}
	mireds = clampTemperature(mireds, low, high)
	time, err := transitionTime(c, key)
	if err != nil {
		return Result{}, err
	}
	state := c.synced(Values{"color_mode": "color_temp", "color_temp": mireds})
	if !hasExpose(c.Definition, "color_temp") || c.Definition.is("colorTempViaColor") {
		at, err := temperature(mireds)
		if err != nil {
			return Result{}, err
		}
		r, err := moveToColor(c, at, time)
		r.State = state
		return r, err
	}
	word, err := wordOf(key, mireds)
	return sends(command(c, clusterColor, cmdMoveToColorTemperature, pack(word, time, tail(c))), state), err
}

func getColor(c *Context, key string) ([]zigbee.Request, error) {
	colors := hasExpose(c.Definition, "color_xy") || hasExpose(c.Definition, "color_hs")
	if !colors {
		return []zigbee.Request{c.read(clusterColor, attrColorMode, attrColorTemperature)}, nil
	}
	// A color that names some of its parts asks for those alone.
	asked := c.Message["color"]
	object, isObject := asked.(map[string]any)
	want := func(part string) bool { return !truthy(asked) || isObject && object[part] != nil }
	ids := []uint16{attrColorMode}
	if want("x") {
		ids = append(ids, attrCurrentX)
	}
	if want("y") {
		ids = append(ids, attrCurrentY)
	}
	if c.huesAndSaturations() {
		if want("hue") {
			if c.Definition.is("supportsEnhancedHue") {
				ids = append(ids, attrEnhancedHue)
			} else {
				ids = append(ids, attrCurrentHue)
			}
		}
		if want("saturation") {
			ids = append(ids, attrCurrentSaturation)
		}
	}
	if hasExpose(c.Definition, "color_temp") {
		ids = append(ids, attrColorTemperature)
	}
	return []zigbee.Request{c.read(clusterColor, ids...)}, nil
}

func setColorOptions(c *Context, key string, value any) (Result, error) {
	object, ok := value.(map[string]any)
	if !ok {
		return Result{}, fmt.Errorf(`%s must be like {"execute_if_off": true}, not %s`, key, quoted(value))
	}
	var options uint8
	if truthy(object["execute_if_off"]) {
		options = 1
	}
	r, err := c.write(clusterColor, zcl.Attribute{ID: attrColorOptions, Type: zcl.Bitmap8, Value: options})
	return sends(r, Values{key: value}), err
}

func setTemperatureStartUp(c *Context, key string, value any) (Result, error) {
	low, high := c.settableRange()
	presets := temperaturePresets(low, high)
	presets["previous"] = previousTemperature
	mireds, ok := numeric(value)
	if name, isText := value.(string); isText && presets[name] != 0 {
		mireds, ok = presets[name], true
	}
	if !ok {
		return Result{}, notNumber(key, value)
	}
	if mireds != previousTemperature {
		mireds = clampTemperature(mireds, low, high)
	}
	word, err := wordOf(key, mireds)
	if err != nil {
		return Result{}, err
	}
	r, err := c.write(clusterColor, zcl.Attribute{ID: attrStartUpTemperature, Type: zcl.Uint16, Value: word})
	return sends(r, Values{key: mireds}), err
}

// configureColor reads what the lamp can do, and has it report what it shows.
func configureColor(c *Context, endpoint uint8) []Step {
	e := c.Device.Endpoint(endpoint)
	if !slices.Contains(e.Input, clusterColor) {
		return nil
	}
	steps := []Step{
		readStep(endpoint, clusterColor, attrColorCapabilities),
		readStep(endpoint, clusterColor, attrColorTempMin, attrColorTempMax),
	}
	var reports []zigbee.Reporting
	add := func(id uint16, t zcl.Type) {
		reports = append(reports, zigbee.Reporting{Attribute: id, Type: uint8(t), Min: 10 * time.Second, Max: maxInterval, Change: 1})
	}
	if hasExpose(c.Definition, "color_temp") {
		add(attrColorTemperature, zcl.Uint16)
	}
	if hasExpose(c.Definition, "color_xy") {
		add(attrCurrentX, zcl.Uint16)
		add(attrCurrentY, zcl.Uint16)
	}
	if hasExpose(c.Definition, "color_hs") {
		if c.Definition.is("supportsEnhancedHue") {
			add(attrEnhancedHue, zcl.Uint16)
		} else {
			add(attrCurrentHue, zcl.Uint8)
		}
		add(attrCurrentSaturation, zcl.Uint8)
	}
	if len(reports) > 0 {
		steps = append(steps, report(endpoint, clusterColor, reports...)...)
	}
	return optional(steps)
}
