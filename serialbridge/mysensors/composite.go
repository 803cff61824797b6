package mysensors

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"

	"lintel/serialbridge"
)

// A composite is a property that several variables of a child are together: a light,
// a blind, a thermostat. What each is made of is as in Home Assistant's own
// integration of MySensors, so that nodes that were made for it do what is expected.
type composite struct {
	property serialbridge.Property
	parts    []int // variables that are part of it, and nothing besides
	features func(n *node, child int, p *serialbridge.Property)
	value    func(n *node, child, typ int, value any) (object map[string]any, ok bool)
	orders   func(n *node, child int, object map[string]any) []order
}

// An order sets a variable of a child.
type order struct {
	typ     int
	payload string
}

// object is the value of a composite.
type object = map[string]any

// composites are known by the type of the child.
var composites = map[int]*composite{
	sDimmer: light(serialbridge.Brightness, vStatus, vPercentage),
	sRGB:    light(serialbridge.RGB, vStatus, vPercentage, vRGB),
	sRGBW:   light(serialbridge.RGBW, vStatus, vPercentage, vRGBW),
	sCover:  cover,
	sHeater: thermostat("off", "heat"),
	sHVAC:   thermostat("off", "heat", "cool", "auto"),
	sLock:   lock,
	sGPS:    tracker,
}

// compositeOf returns the composite of a child that a variable has to do with, or nil.
func (n *node) compositeOf(child, typ int) *composite {
	c, presented := n.children[child]
	if !presented {
		return nil
	}
	composite := composites[c.typ]
	if composite == nil || !composite.has(typ) && !(typ == vTemp && composite.property.Kind == serialbridge.Climate) {
		return nil
	}
	return composite
}

// has tells whether a variable is part of the composite, and nothing besides.
func (c *composite) has(typ int) bool {
	for _, part := range c.parts {
		if part == typ {
			return true
		}
	}
	return false
}

// of returns the property of a child.
func (c *composite) of(n *node, number int) serialbridge.Property {
	p := c.property
	p.Key += "_" + strconv.Itoa(number)
	if description := n.children[number].description; description != "" {
		p.Name = description
	} else {
		p.Name += " " + strconv.Itoa(number)
	}
	if c.features != nil {
		c.features(n, number, &p)
	}
	return p
}

func light(color serialbridge.Feature, parts ...int) *composite {
	mode := string(color)
	c := &composite{parts: parts, property: serialbridge.Property{Key: "light", Name: "Light", Kind: serialbridge.Light, Precision: -1,
		Features: []serialbridge.Feature{serialbridge.Brightness}}}
	if color != serialbridge.Brightness {
		c.property.Features = append(c.property.Features, color)
	}
	c.value = func(n *node, child, typ int, value any) (object, bool) {
		switch v := value.(type) {
		case bool:
			return object{"state": onOff(v), "color_mode": mode}, true
		case float64:
			o := object{"color_mode": mode}
			// Dark is off; that it is bright says that it is on if nothing else does.
			if v == 0 {
				o["state"] = "OFF"
				return o, true
			}
			o["brightness"] = math.Round(v * 255 / 100)
			if !n.heard[place{child, vStatus}] {
				o["state"] = "ON"
			}
			return o, true
		case string:
			channels, err := hex.DecodeString(v)
			if err != nil || len(channels) != len(mode) {
				return nil, false
			}
			color := make(object)
			for i, channel := range channels {
				color[mode[i:i+1]] = float64(channel)
			}
			return object{"color": color, "color_mode": mode}, true
		}
		return nil, false
	}
	c.orders = func(_ *node, _ int, o object) (orders []order) {
		if o["state"] == "OFF" {
			return []order{{vStatus, "0"}}
		}
		if o["state"] == "ON" {
			orders = append(orders, order{vStatus, "1"})
		}
		if b, ok := o["brightness"].(float64); ok {
			percent := math.Round(b * 100 / 255)
			if b > 0 {
				percent = max(percent, 1)
			}
			orders = append(orders, order{vPercentage, whole(percent)})
		}
		if color, ok := o["color"].(object); ok {
			text := ""
			for i := range mode {
				channel, _ := color[mode[i:i+1]].(float64)
				text += fmt.Sprintf("%02x", uint8(channel))
			}
			orders = append(orders, order{parts[len(parts)-1], text})
		}
		return orders
	}
	return c
}

var cover = &composite{
	property: serialbridge.Property{Key: "cover", Name: "Cover", Kind: serialbridge.Cover, Precision: -1,
		Features: []serialbridge.Feature{serialbridge.Position, serialbridge.Stop}},
	parts: []int{vUp, vDown, vStop, vPercentage},
	value: func(n *node, child, typ int, value any) (object, bool) {
		if typ == vPercentage {
			position, _ := value.(float64)
			state := "open"
			if position == 0 {
				state = "closed"
			}
			n.last[positionOf(child)] = position
			return object{"position": position, "state": state}, true
		}
		// One that tells its position says so when it has arrived.
		_, tells := n.last[positionOf(child)]
		switch {
		case typ == vStop:
			return object{"state": "stopped"}, true
		case typ == vUp && tells:
			return object{"state": "opening"}, true
		case typ == vUp:
			return object{"state": "open"}, true
		case tells:
			return object{"state": "closing"}, true
		}
		return object{"state": "closed"}, true
	},
	orders: func(_ *node, _ int, o object) []order {
		if position, ok := o["position"].(float64); ok {
			return []order{{vPercentage, whole(position)}}
		}
		return []order{{map[any]int{"open": vUp, "close": vDown, "stop": vStop}[o["state"]], "1"}}
	},
}

// positionOf is where the last position of a cover is noted.
func positionOf(child int) string { return "cover_" + strconv.Itoa(child) }

// flows are the words of V_HVAC_FLOW_STATE.
var flows = map[string]string{"Off": "off", "HeatOn": "heat", "CoolOn": "cool", "AutoChangeOver": "auto"}

func thermostat(modes ...string) *composite {
	c := &composite{
		property: serialbridge.Property{Key: "climate", Name: "Thermostat", Kind: serialbridge.Climate, Unit: "°C", Min: 5, Max: 35, Step: 0.5, Precision: -1,
			Options: modes},
		parts: []int{vStatus, vFlowState, vHeat, vCool},
	}
	both := func(n *node, child int) bool { return n.heard[place{child, vHeat}] && n.heard[place{child, vCool}] }
	c.features = func(n *node, child int, p *serialbridge.Property) {
		if n.heard[place{child, vTemp}] {
			p.Features = append(p.Features, serialbridge.RoomTemperature)
		}
		if both(n, child) {
			p.Features = append(p.Features, serialbridge.SetpointRange)
		} else {
			p.Features = append(p.Features, serialbridge.Setpoint)
		}
	}
	c.value = func(n *node, child, typ int, value any) (object, bool) {
		switch typ {
		case vTemp:
			return object{"current_temperature": value}, true
		case vFlowState:
			return object{"mode": flows[fmt.Sprint(value)]}, true
		case vHeat, vCool:
			name := "temperature"
			if both(n, child) {
				name = map[int]string{vHeat: "temperature_low", vCool: "temperature_high"}[typ]
			}
			return object{name: value}, true
		}
		// V_STATUS: whether it is on says what it does only if it knows one thing.
		switch on := value == true; {
		case !on:
			return object{"mode": "off"}, true
		case len(modes) == 2 && !n.heard[place{child, vFlowState}]:
			return object{"mode": modes[1]}, true
		}
		return nil, true
	}
	c.orders = func(n *node, child int, o object) (orders []order) {
		if mode, ok := o["mode"].(string); ok {
			if len(modes) == 2 && !n.heard[place{child, vFlowState}] {
				orders = append(orders, order{vStatus, map[bool]string{true: "0", false: "1"}[mode == "off"]})
			} else {
				for word, is := range flows {
					if is == mode {
						orders = append(orders, order{vFlowState, word})
					}
				}
			}
		}
		setpoint := func(typ int, name string) {
			if t, ok := o[name].(float64); ok {
				orders = append(orders, order{typ, strconv.FormatFloat(math.Round(2*t)/2, 'f', -1, 64)})
			}
		}
		setpoint(vHeat, "temperature_low")
		setpoint(vCool, "temperature_high")
		if n.heard[place{child, vCool}] {
			setpoint(vCool, "temperature")
		} else {
			setpoint(vHeat, "temperature")
		}
		return orders
	}
	return c
}

var lock = &composite{
	property: serialbridge.Property{Key: "lock", Name: "Lock", Kind: serialbridge.Lock, Precision: -1},
	parts:    []int{vLock},
	value: func(_ *node, _, _ int, value any) (object, bool) {
		if value == true {
			return object{"state": "locked"}, true
		}
		return object{"state": "unlocked"}, true
	},
	orders: func(_ *node, _ int, o object) []order {
		return []order{{vLock, map[bool]string{true: "1", false: "0"}[o["state"] == "lock"]}}
	},
}

// tracker is the place of a child: latitude;longitude;altitude.
var tracker = &composite{
	property: serialbridge.Property{Key: "position", Name: "Position", Kind: serialbridge.Tracker, Precision: -1},
	parts:    []int{vPosition},
	value: func(_ *node, _, _ int, value any) (object, bool) {
		text, _ := value.(string)
		fields := strings.Split(text, ";")
		if len(fields) != 2 && len(fields) != 3 {
			return nil, false
		}
		o := make(object)
		for i, name := range []string{"latitude", "longitude", "altitude"}[:len(fields)] {
			f, err := strconv.ParseFloat(fields[i], 64)
			if !decimal(fields[i]) || err != nil || math.Abs(f) > []float64{90, 180, 1e5}[i] {
				return nil, false
			}
			o[name] = f + 0
		}
		return o, true
	},
	orders: func(*node, int, object) []order { return nil },
}

func onOff(on bool) string {
	if on {
		return "ON"
	}
	return "OFF"
}

func whole(f float64) string { return strconv.FormatFloat(math.Round(f), 'f', -1, 64) }
