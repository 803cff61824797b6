package devices

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// thermostatAttribute is an attribute of the Thermostat cluster (section 6.3) and
// what it is in the state.
type thermostatAttribute struct {
	property string
	id       uint16
	kind     zcl.Type
	// scale divides the value; 0: it is a word.
	scale float64
	words map[uint16]string
	// set says that it can be written, half that in steps of half a degree.
	set, half bool
	// silent says that nothing is assumed of what was written.
	silent bool
	change float64 // that is reported; 0: any
	never  bool    // it is only read
}

// absoluteZero is below every temperature: a thermostat that does not know one
// tells less.
const absoluteZero = -273.15

var (
	setpoint      = thermostatAttribute{kind: zcl.Int16, scale: 100, set: true, half: true, change: 10}
	setpointLimit = thermostatAttribute{kind: zcl.Int16, scale: 100, set: true, half: true, never: true}
	absoluteLimit = thermostatAttribute{kind: zcl.Int16, scale: 100, never: true}
)

func (a thermostatAttribute) named(property string, id uint16) thermostatAttribute {
	a.property, a.id = property, id
	return a
}

var thermostatAttributes = []thermostatAttribute{
	{property: "local_temperature", id: 0x0000, kind: zcl.Int16, scale: 100, change: 10},
	{property: "outdoor_temperature", id: 0x0001, kind: zcl.Int16, scale: 100, change: 10},
	absoluteLimit.named("abs_min_heat_setpoint_limit", 0x0003),
	absoluteLimit.named("abs_max_heat_setpoint_limit", 0x0004),
	absoluteLimit.named("abs_min_cool_setpoint_limit", 0x0005),
	absoluteLimit.named("abs_max_cool_setpoint_limit", 0x0006),
	{property: "pi_cooling_demand", id: 0x0007, kind: zcl.Uint8, scale: 1},
	{property: "pi_heating_demand", id: 0x0008, kind: zcl.Uint8, scale: 1},
	{property: "local_temperature_calibration", id: 0x0010, kind: zcl.Int8, scale: 10, set: true, never: true},
	setpoint.named("occupied_cooling_setpoint", 0x0011),
	setpoint.named("occupied_heating_setpoint", 0x0012),
	setpoint.named("unoccupied_cooling_setpoint", 0x0013),
	setpoint.named("unoccupied_heating_setpoint", 0x0014),
	setpointLimit.named("min_heat_setpoint_limit", 0x0015),
	setpointLimit.named("max_heat_setpoint_limit", 0x0016),
	setpointLimit.named("min_cool_setpoint_limit", 0x0017),
	setpointLimit.named("max_cool_setpoint_limit", 0x0018),
	{property: "min_setpoint_dead_band", id: 0x0019, kind: zcl.Int8, scale: 100, never: true},
	{property: "control_sequence_of_operation", id: 0x001b, kind: zcl.Enum8, set: true, words: map[uint16]string{
		0: "cooling_only", 1: "cooling_with_reheat", 2: "heating_only", 3: "heating_with_reheat",
		4: "cooling_and_heating_4-pipes", 5: "cooling_and_heating_4-pipes_with_reheat",
	}},
	{property: "system_mode", id: 0x001c, kind: zcl.Enum8, set: true, words: map[uint16]string{
		0: "off", 1: "auto", 3: "cool", 4: "heat", 5: "emergency_heating", 6: "precooling", 7: "fan_only", 8: "dry", 9: "sleep",
	}},
	{property: "running_mode", id: 0x001e, kind: zcl.Enum8, words: map[uint16]string{0: "off", 3: "cool", 4: "heat"}},
	{property: "temperature_setpoint_hold_duration", id: 0x0024, kind: zcl.Uint16, scale: 1, set: true, silent: true, never: true},
	{property: "programming_operation_mode", id: 0x0025, kind: zcl.Bitmap8, set: true, never: true, words: map[uint16]string{
		0: "setpoint", 1: "schedule", 3: "schedule_with_preheat", 4: "eco",
	}},
	// Bits of the relays: any that heats or cools counts (table 6-24).
	{property: "running_state", id: 0x0029, kind: zcl.Bitmap16, words: map[uint16]string{
		0: "idle", 1: "heat", 2: "cool", 4: "fan_only", 5: "heat", 6: "cool", 8: "heat", 9: "heat", 10: "cool", 12: "cool",
		14: "cool", 15: "cool", 22: "cool", 33: "heat", 34: "cool", 65: "heat", 66: "cool", 32768: "idle", 32769: "heat",
	}},
	{property: "setpoint_change_source", id: 0x0030, kind: zcl.Enum8, words: map[uint16]string{0: "manual", 1: "schedule", 2: "externally"}},
	{property: "setpoint_change_amount", id: 0x0031, kind: zcl.Int16, scale: 100, never: true},
	{property: "ac_louver_position", id: 0x0045, kind: zcl.Enum8, set: true, words: map[uint16]string{
		1: "fully_closed", 2: "fully_open", 3: "quarter_open", 4: "half_open", 5: "three_quarters_open",
	}},
}

// Attributes that are neither number nor word, and commands of the cluster.
const (
	attrThermostatOccupancy = 0x0002
	attrRemoteSensing       = 0x001a
	attrSetpointHold        = 0x0023
	attrSetpointChangeTime  = 0x0032

	cmdRaiseLower     = 0x00
	cmdSetSchedule    = 0x01
	cmdGetSchedule    = 0x02
	cmdClearSchedule  = 0x03
	cmdGetRelayLog    = 0x04
	respGetSchedule   = 0x00
	daysAndVacation   = 0xff
	heatingAndCooling = 3
)

// thermostat tells what a thermostat says of itself. What can be set is a trait
// for each key, as each is a write of its own.
var thermostat = &Trait{
	Name: "thermostat", Exposes: []string{"climate"}, Clusters: []uint16{clusterThermostat},
	Generate: generateThermostat,
	Decode:   decodeThermostat, Configure: configureThermostat,
}

// thermostatTraits are that, one for every attribute, and the commands.
func thermostatTraits() []*Trait {
	traits := []*Trait{thermostat}
	add := func(t Trait) {
		t.Clusters = thermostat.Clusters
		t.Exposes = append(t.Exposes, "climate")
		t.Name = t.Keys[0]
		traits = append(traits, &t)
	}
	for _, a := range thermostatAttributes {
		t := Trait{Keys: []string{a.property}, Exposes: []string{a.property}, Get: reads(clusterThermostat, a.id)}
		if a.set {
			t.Set = a.write
		}
		add(t)
	}
	add(Trait{Keys: []string{"occupancy"}, Get: reads(clusterThermostat, attrThermostatOccupancy)})
	add(Trait{Keys: []string{"remote_sensing"}, Set: setRemoteSensing, Get: reads(clusterThermostat, attrRemoteSensing)})
	add(Trait{Keys: []string{"temperature_setpoint_hold"}, Set: setSetpointHold, Get: reads(clusterThermostat, attrSetpointHold)})
	add(Trait{Keys: []string{"weekly_schedule"}, Set: setSchedule, Get: getSchedule})
	add(Trait{Keys: []string{"clear_weekly_schedule"}, Set: func(c *Context, _ string, _ any) (Result, error) {
		return sends(command(c, clusterThermostat, cmdClearSchedule, nil), nil), nil
	}})
	add(Trait{Keys: []string{"setpoint_raise_lower"}, Set: setRaiseLower})
	add(Trait{Keys: []string{"relay_status_log"}, Get: func(c *Context, _ string) ([]zigbee.Request, error) {
		return []zigbee.Request{inquiry(c, clusterThermostat, cmdGetRelayLog, nil)}, nil
	}})
	return traits
}

func decodeThermostat(c *Context, m zigbee.Message) Values {
	if response(m, respGetSchedule, 3) {
		return decodeSchedule(m.Frame.Payload)
	}
	values := make(Values)
	for _, a := range thermostatAttributes {
		wire, ok := standardNumber(m, a.id)
		if !ok {
			continue
		}
		if a.words != nil {
			if word, ok := a.words[uint16(wire)]; ok {
				values[a.property] = word
			} else if a.property == "ac_louver_position" && wire == 0 {
				values[a.property] = "fully_closed"
			}
			continue
		}
		value := wire / a.scale
		switch {
		case a.scale == 100 && value < absoluteZero:
			continue
		case a.property == "pi_heating_demand" || a.property == "pi_cooling_demand":
			most := 255.0
			if c.Definition.is("thermostat", "dontMapPIHeatingDemand") {
				most = 100
			}
			value = rescale(value, 0, most, 0, 100, 0)
		}
		values[a.property] = value
	}
	if v, ok := standardNumber(m, attrThermostatOccupancy); ok {
		values["occupancy"] = math.Mod(v, 2) > 0
	}
	if v, ok := standardNumber(m, attrRemoteSensing); ok {
		where := func(bit uint8) string {
			if uint8(v)&bit != 0 {
				return "remotely"
			}
			return "internally"
		}
		values["remote_sensing"] = map[string]any{
			"local_temperature": where(1), "outdoor_temperature": where(2), "occupancy": where(4),
		}
	}
	if v, ok := standardNumber(m, attrSetpointHold); ok {
		values["temperature_setpoint_hold"] = v == 1
	}
	if v, ok := standardNumber(m, attrSetpointChangeTime); ok {
		since := time.Date(2000, 1, 1, 0, 0, 0, 0, c.Now.Location())
		values["setpoint_change_source_timestamp"] = since.Add(time.Duration(v) * time.Second).Format("2006-01-02T15:04:05-07:00")
	}
	return values
}

// write is the Set of an attribute.
func (a thermostatAttribute) write(c *Context, key string, value any) (Result, error) {
	var wire float64
	if a.words != nil {
		n, isNumber := strictNumber(value)
		if !isNumber {
			numbers := make(map[string]float64, len(a.words))
			for id, word := range a.words {
				numbers[word] = float64(id)
			}
			var err error
			if n, err = oneOf(key, value, numbers); err != nil {
				return Result{}, err
			}
		}
		wire = n
	} else {
		number, ok := strictNumber(value)
		if !ok {
			return Result{}, notNumber(key, value)
		}
		switch {
		case a.half && c.Options["thermostat_unit"] == "fahrenheit":
			wire = math.Floor(halfFahrenheit(number)*100 + 0.5)
		case a.half:
			wire = math.Trunc(halves(number)*100 + 1e-6)
		default:
			wire = math.Floor(number*a.scale + 0.5)
		}
	}
	r, err := c.write(clusterThermostat, zcl.Attribute{ID: a.id, Type: a.kind, Value: wire})
	if err != nil {
		return Result{}, fmt.Errorf("%s cannot be %s: %w", key, quoted(value), err)
	}
	if a.silent {
		return sends(r, nil), nil
	}
	return sends(r, Values{key: value}), nil
}

// halves rounds to half a degree.
func halves(degrees float64) float64 { return math.Floor(decimal(degrees*2, 1)+0.5) / 2 }

// decimal is a number with so many places behind the point, as it is written.
func decimal(f float64, places int) float64 {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'f', places, 64), 64)
	return rounded
}

// halfFahrenheit is the temperature in degrees Celsius whose degrees Fahrenheit end
// in a half.
func halfFahrenheit(celsius float64) float64 {
	return decimal((halves(celsius*1.8+32)-32)/1.8, 2)
}

func setRemoteSensing(c *Context, key string, value any) (Result, error) {
	bits, ok := strictNumber(value)
	if !ok {
		return Result{}, notNumber(key, value)
	}
	b, err := byteOf(key, bits)
	if err != nil {
		return Result{}, err
	}
	r, err := c.write(clusterThermostat, zcl.Attribute{ID: attrRemoteSensing, Type: zcl.Bitmap8, Value: b})
	return sends(r, nil), err
}

func setSetpointHold(c *Context, key string, value any) (Result, error) {
	hold, ok := numeric(value)
	if !ok {
		return Result{}, fmt.Errorf("%s must be true or false, not %s", key, quoted(value))
	}
	b, err := byteOf(key, hold)
	if err != nil {
		return Result{}, err
	}
	r, err := c.write(clusterThermostat, zcl.Attribute{ID: attrSetpointHold, Type: zcl.Enum8, Value: b})
	return sends(r, nil), err
}

func setRaiseLower(c *Context, key string, value any) (Result, error) {
	object, ok := value.(map[string]any)
	if !ok {
		return Result{}, notObject(key, value)
	}
	mode, ok1 := numeric(object["mode"])
	amount, ok2 := numeric(object["amount"])
	wire := math.Floor(amount+0.5) * 100
	if !ok1 || !ok2 || !(mode >= 0 && mode < 256) || !(wire >= math.MinInt8 && wire <= math.MaxInt8) {
		return Result{}, fmt.Errorf(`%s must be like {"mode": 0, "amount": 1}, not %s`, key, quoted(value))
	}
	return sends(command(c, clusterThermostat, cmdRaiseLower, pack(uint8(mode), int8(wire))), nil), nil
}

// configureThermostat has reported what the definition shows, one attribute in a
// frame: thermostats refuse a frame for one attribute that they lack.
func configureThermostat(c *Context, endpoint uint8) []Step {
	steps := []Step{{Endpoint: endpoint, Bind: []uint16{clusterThermostat}}}
	for _, a := range thermostatAttributes {
		if !hasExpose(c.Definition, a.property) {
			continue
		}
		if !a.never {
			steps = append(steps, Step{Endpoint: endpoint, Optional: true, Report: []zigbee.Reporting{{
				Cluster: clusterThermostat, Attribute: a.id, Type: uint8(a.kind), Max: time.Hour, Change: a.change,
			}}})
		}
		steps = append(steps, readStep(endpoint, clusterThermostat, a.id))
	}
	return steps
}
