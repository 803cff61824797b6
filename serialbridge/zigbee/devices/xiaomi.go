package devices

import (
	"encoding/binary"
	"math"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// clusterLumi is the cluster of Xiaomi's and Aqara's own attributes.
const clusterLumi = 0xfcc0

// The attributes that hold a structure of what such a device has to tell once an hour.
const (
	lumiBasicStructure = 0xff01 // of the Basic cluster: tag, type and value, as text
	lumiBasicList      = 0xff02 // of the Basic cluster: a ZCL structure
	lumiStructure      = 0x00f7 // of clusterLumi: tag, type and value, as octets
)

// structureOf returns the members of the structure in an attribute of a message, by tag.
func structureOf(m zigbee.Message, id uint16) map[uint8]any {
	value, _ := reported(m, id)
	switch v := value.(type) {
	case string:
		return parseStructure([]byte(v))
	case []byte:
		return parseStructure(v)
	}
	return nil
}

// plausible returns a member as it is meant: sensors tell impossible weather now and then,
// and count in more bits than they have. nil: it means nothing.
func (a *Attribute) plausible(raw any) any {
	n, ok := numberOf(raw)
	if !ok || a.Cluster != clusterBasic && a.Cluster != clusterLumi {
		return raw
	}
	switch a.Property {
	case "temperature":
		if n <= -6500 || n >= 6500 {
			return nil
		}
	case "humidity":
		if n < 0 || n > 10000 {
			return nil
		}
	case "trigger_count":
		return float64(uint16(int64(n)))
	}
	return raw
}

// parseStructure reads tag, type and value, one after the other. What follows a value
// that is of no type or cut off is left out.
func parseStructure(data []byte) map[uint8]any {
	members := make(map[uint8]any)
	for len(data) > 2 {
		tag := data[0]
		value, rest, err := zcl.ReadValue(zcl.Type(data[1]), data[2:])
		if err != nil || len(rest) >= len(data) {
			break
		}
		if value != nil {
			members[tag] = value
		}
		data = rest
	}
	return members
}

// lumiTraits are those of Xiaomi and Aqara that take more than a row.
var lumiTraits = []*Trait{
	{Name: "lumi list", Clusters: []uint16{clusterBasic}, Exposes: []string{"battery", "voltage", "power_outage_count"}, Decode: decodeLumiList},
	{Name: "lumi cube", Clusters: []uint16{clusterMultistateInput, clusterAnalogInput}, Exposes: []string{"action"}, Decode: decodeCube},
	{Name: "lumi vibration", Clusters: []uint16{clusterDoorLock}, Exposes: []string{"vibration", "action"}, Decode: decodeVibration},
	{Name: "lumi motion", Clusters: []uint16{clusterLumi, clusterIlluminance, clusterOccupancy}, Exposes: []string{"occupancy"}, Decode: decodeLumiMotion},
	{Name: "lumi knob", Clusters: []uint16{clusterLumi}, Exposes: []string{"action_rotation_angle", "action_slide_time"}, Decode: decodeKnob},
	{Name: "lumi button", Clusters: []uint16{clusterOnOff}, Exposes: []string{"action"}, Decode: decodeLumiButton},
	{Name: "lumi event mode", Clusters: []uint16{clusterLumi}, Configure: configureLumi},
}

// decodeLumiList reads what old sensors tell of their battery: the second member is its
// voltage, the fifth how often they were without power, and once more.
func decodeLumiList(c *Context, m zigbee.Message) Values {
	const triggers = 6 // how often it was triggered, and once more, in 16 bits
	if n, ok := numberOf(structureOf(m, lumiBasicStructure)[triggers]); ok && c.Definition.shows("trigger_count") {
		return Values{"trigger_count": float64(uint16(int64(n))) - 1}
	}
	value, _ := reported(m, lumiBasicList)
	list, ok := value.(zcl.Struct)
	if !ok || len(list) < 5 || !c.Definition.uses("lumi.lumi_basic") {
		return nil
	}
	values := Values{}
	if voltage, ok := numberOf(list[1].Value); ok {
		values["voltage"] = voltage
		if curve, ok := c.Definition.quirk("battery", "voltageToPercentage"); ok {
			if percentage, ok := batteryPercentage(voltage, curve); ok {
				values["battery"] = percentage
			}
		}
	}
	if outages, ok := numberOf(list[4].Value); ok {
		values["power_outage_count"] = outages - 1
	}
	return values
}

// decodeCube reads the cubes MFKZQ01LM and CTP-R01: what was done to them is a state,
// how far they were turned an analog value. The newer one counts its sides from 1.
func decodeCube(c *Context, m zigbee.Message) Values {
	first, new := 0.0, false
	switch c.Definition.Model {
	case "MFKZQ01LM":
	case "CTP-R01":
		first, new = 1, true
	default:
		return nil
	}
	n, ok := reportedNumber(m, presentValue)
	if !ok {
		return nil
	}
	if m.Cluster == clusterAnalogInput {
		action := "rotate_right"
		if n < 0 {
			action = "rotate_left"
		}
		angle := math.Floor(n*100) / 100
		values := Values{"action": action, "action_angle": angle}
		if !new {
			values["angle"] = angle
		}
		return values
	}
	if c.repeated(m) {
		return nil
	}
	from, to := math.Floor((n-64)/8)+first, math.Mod(n, 8)+first
	switch {
	case n == 0:
		return Values{"action": "shake"}
	case n == 1:
		return Values{"action": "throw"}
	case n == 2 && new:
		return Values{"action": "1_min_inactivity"}
	case n == 2:
		return Values{"action": "wakeup"}
	case n == 3 && !new:
		return Values{"action": "fall"}
	case n == 4 && new:
		return Values{"action": "hold"}
	case n >= 1024 && new:
		return Values{"action": "flip_to_side", "side": n - 1024 + first}
	case n >= 512:
		return Values{"action": "tap", "side": n - 512 + first}
	case n >= 256:
		return Values{"action": "slide", "side": n - 256 + first}
	case n >= 128 && new:
		return Values{"action": "flip180", "side": n - 127, "action_from_side": 7 - n + 127}
	case n >= 128:
		return Values{"action": "flip180", "side": n - 128}
	case n >= 64 && new:
		return Values{"action": "flip90", "side": to, "action_from_side": from}
	case n >= 64:
		return Values{"action": "flip90", "action_from_side": from, "action_to_side": to, "action_side": to,
			"from_side": from, "to_side": to, "side": to}
	}
	return nil
}

// The attributes of the vibration sensor DJT11LM.
const (
	vibrationAction   = 0x0055
	vibrationAngle    = 0x0503
	vibrationStrength = 0x0505
	vibrationAxes     = 0x0508
)

func decodeVibration(c *Context, m zigbee.Message) Values {
	if !c.Definition.uses("lumi.lumi_vibration_analog") || !tells(m) {
		return nil
	}
	values := Values{}
	if n, ok := reportedNumber(m, vibrationAction); ok {
		action := map[float64]string{1: "vibration", 2: "tilt", 3: "drop"}[n]
		if action != "" {
			values["action"] = action
		}
		if action == "vibration" {
			values["vibration"] = true
			c.timeout("vibration", m.Endpoint, Values{"vibration": false})
		}
	}
	if angle, ok := reportedNumber(m, vibrationAngle); ok && angle != 0 {
		values["angle"] = angle
	}
	if raw, ok := reportedNumber(m, vibrationStrength); ok && raw != 0 {
		data := uint64(raw) >> 8 // its upper bytes, most significant first
		values["strength"] = float64(data&0xff<<8 | data>>8&0xff)
	}
	if raw, ok := reportedNumber(m, vibrationAxes); ok && raw != 0 {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], uint64(raw))
		axis := func(i int, name string) float64 {
			n := float64(int16(binary.LittleEndian.Uint16(b[2*i:])))
			offset, _ := option(c.Options, name+"_calibration")
			places, _ := option(c.Options, name+"_precision")
			return round(n+offset, int(max(0, min(9, places))))
		}
		x, y, z := axis(0, "x"), axis(1, "y"), axis(2, "z")
		values["x_axis"], values["y_axis"], values["z_axis"] = x, y, z
		degrees := func(name string, radians float64) {
			if !math.IsNaN(radians) {
				values[name] = math.Floor(radians*180/math.Pi + 0.5)
			}
		}
		degrees("angle_x", math.Atan(x/math.Sqrt(y*y+z*z)))
		degrees("angle_y", math.Atan(y/math.Sqrt(x*x+z*z)))
		degrees("angle_z", math.Atan(z/math.Sqrt(x*x+y*y)))
		length := math.Sqrt(x*x + y*y + z*z)
		degrees("angle_x_absolute", math.Acos(x/length))
		degrees("angle_y_absolute", math.Acos(y/length))
	}
	return values
}

// lumiMotion is the attribute in which motion sensors tell the light, and by doing so that
// somebody moves.
const lumiMotion = 0x0112

// decodeLumiMotion reads motion sensors that tell the light when somebody moves: where
// there is a value there is somebody.
func decodeLumiMotion(c *Context, m zigbee.Message) Values {
	d := c.Definition
	switch {
	case m.Cluster == clusterLumi && d.uses("lumi.lumi_occupancy_illuminance"):
		raw, ok := reportedNumber(m, lumiMotion)
		if !ok {
			return nil
		}
		interval := 60.0
		if d.Model == "RTCGQ14LM" {
			interval = 30
		}
		c.lumiTimeout(m.Endpoint, interval)
		return Values{"occupancy": true, "illuminance": lumiLight(raw)}
	case m.Cluster == clusterOccupancy && d.uses("lumi.lumi_occupancy"):
		if raw, ok := reportedNumber(m, 0); !ok || raw != 1 {
			return nil
		}
		c.lumiTimeout(m.Endpoint, 60)
		return Values{"occupancy": true}
	case m.Cluster == clusterIlluminance && d.uses("lumi.lumi_illuminance"):
		raw, ok := reportedNumber(m, 0)
		if !ok {
			return nil
		}
		c.timeout("occupancy", m.Endpoint, Values{"occupancy": false})
		c.noOccupancySince(m.Endpoint, true)
		return Values{"occupancy": true, "illuminance": raw}
	}
	return nil
}

// lumiLight is the light that a motion sensor tells, 65536 too much of it. Some tell an
// enormous one in the dark.
func lumiLight(raw float64) float64 {
	if raw > 130536 {
		return 0
	}
	return raw - 65536
}

// lumiTimeout ends the presence two seconds after the sensor would have told of it again.
func (c *Context) lumiTimeout(endpoint uint8, interval float64) {
	if n, ok := zcl.Float(c.State["detection_interval"]); ok {
		interval = n
	}
	seconds := interval + 2
	if n, ok := option(c.Options, "occupancy_timeout"); ok && n >= interval {
		seconds = n
	}
	c.Later(Later{Key: "occupancy " + digits(endpoint), After: secondsOf(seconds), Values: Values{"occupancy": false}})
	c.noOccupancySince(endpoint, true)
}

// The attributes that say what was done to a knob and to a slider.
const (
	knobTurned  = 0x023a
	sliderMoved = 0x028c
)

// decodeKnob reads knobs and sliders, whose report has everything about one move.
func decodeKnob(c *Context, m zigbee.Message) Values {
	values := Values{}
	copyTo := func(property string, id uint16) {
		if n, ok := reportedNumber(m, id); ok {
			values[property] = n
		}
	}
	if n, ok := reportedNumber(m, knobTurned); ok && c.Definition.shows("action_rotation_angle") {
		state := uint8(n)
		if action := map[uint8]string{1: "start_rotating", 2: "rotation", 3: "stop_rotating"}[state&^0x80]; action != "" {
			values["action"] = action
		}
		values["action_rotation_button_state"] = "released"
		if state&0x80 != 0 {
			values["action_rotation_button_state"] = "pressed"
		}
		copyTo("action_rotation_angle", 0x022e)
		copyTo("action_rotation_angle_speed", 0x0230)
		copyTo("action_rotation_percent", 0x0233)
		copyTo("action_rotation_percent_speed", 0x0232)
		copyTo("action_rotation_time", 0x0231)
	}
	if n, ok := reportedNumber(m, sliderMoved); ok && c.Definition.shows("action_slide_time") {
		if action := map[float64]string{1: "slider_single", 2: "slider_double", 3: "slider_hold", 4: "slider_up", 5: "slider_down"}[n]; action != "" {
			values["action"] = action
		}
		copyTo("action_slide_time", 0x0231)
		copyTo("action_slide_speed", 0x0232)
		copyTo("action_slide_relative_displacement", 0x0233)
		copyTo("action_slide_time_delta", 0x0301)
	}
	return values
}

// configureLumi puts remotes into the mode in which they tell events.
func configureLumi(c *Context, endpoint uint8) []Step {
	if !c.Definition.is("lumi", "eventMode") || endpoint != zigbee.EndpointHome {
		return nil
	}
	request, err := writeRequest(endpoint, clusterLumi, 0x115f, zcl.Attribute{ID: 0x0009, Type: zcl.Uint8, Value: uint64(1)})
	if err != nil {
		return nil
	}
	return []Step{{Endpoint: endpoint, Request: &request, Optional: true}}
}

// decodeLumiButton reads the button WXKG01LM, which tells only that it is pressed, that
// it is let go, and how often it was clicked.
func decodeLumiButton(c *Context, m zigbee.Message) Values {
	if !c.Definition.uses("lumi.lumi_action_WXKG01LM") || !tells(m) || c.Memory == nil || c.repeated(m) {
		return nil
	}
	const pressed, hold = "pressed", "hold"
	after := 1000.0 // milliseconds until a press is a hold
	if n, ok := option(c.Options, "hold_timeout"); ok && n > 0 {
		after = n
	}
	state, ok := reportedNumber(m, 0)
	switch {
	case ok && state == 0:
		c.Memory[pressed] = c.Now
		c.Later(Later{Key: hold, After: secondsOf(after / 1000), Values: Values{"action": "hold"}})
	case ok && state == 1:
		since, ok := c.Memory[pressed].(time.Time)
		delete(c.Memory, pressed)
		if !ok {
			return nil
		}
		held := c.Now.Sub(since)
		if held < secondsOf(after/1000) {
			c.Later(Later{Key: hold})
			return Values{"action": "single"}
		}
		return Values{"action": "release", "action_duration": float64((held - secondsOf(after/1000)).Milliseconds())}
	default:
		clicks, _ := reportedNumber(m, 0x8000)
		if action := map[float64]string{1: "single", 2: "double", 3: "triple", 4: "quadruple"}[clicks]; action != "" {
			return Values{"action": action}
		}
		return Values{"action": "many"}
	}
	return nil
}
