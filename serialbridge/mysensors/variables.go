package mysensors

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"lintel/serialbridge"
)

// A variable is what a type of "set" means (Serial Protocol 2.x, "set, req").
type variable struct {
	property serialbridge.Property
	min, max float64 // of a number
	jump     float64 // how far a number goes from one message to the next at most; 0: as far as it likes
	// byChild is what differs by the type of the child.
	byChild map[int]serialbridge.Property
}

// Types of children (Serial Protocol 2.x, "presentation").
const (
	sDoor       = 0
	sMotion     = 1
	sSmoke      = 2
	sBinary     = 3
	sDimmer     = 4
	sCover      = 5
	sTemp       = 6
	sHum        = 7
	sBaro       = 8
	sWind       = 9
	sRain       = 10
	sUV         = 11
	sWeight     = 12
	sPower      = 13
	sHeater     = 14
	sDistance   = 15
	sLightLevel = 16
	sLock       = 19
	sWater      = 21
	sAirQuality = 22
	sDust       = 24
	sRGB        = 26
	sRGBW       = 27
	sColor      = 28
	sHVAC       = 29
	sMultimeter = 30
	sSprinkler  = 31
	sWaterLeak  = 32
	sSound      = 33
	sVibration  = 34
	sMoisture   = 35
	sInfo       = 36
	sGas        = 37
	sGPS        = 38
	sWaterQual  = 39
)

// maxChildType is the last of them.
const maxChildType = sWaterQual

// unknownChild is the type of a child that was not presented.
const unknownChild = -1

// Types of variables.
const (
	vTemp       = 0
	vHum        = 1
	vStatus     = 2
	vPercentage = 3
	vPressure   = 4
	vForecast   = 5
	vRain       = 6
	vRainRate   = 7
	vWind       = 8
	vGust       = 9
	vDirection  = 10
	vUV         = 11
	vWeight     = 12
	vDistance   = 13
	vImpedance  = 14
	vArmed      = 15
	vTripped    = 16
	vWatt       = 17
	vKWh        = 18
	vFlowState  = 21
	vSpeed      = 22
	vLightLevel = 23
	vVar1       = 24
	vUp         = 29
	vDown       = 30
	vStop       = 31
	vFlow       = 34
	vVolume     = 35
	vLock       = 36
	vLevel      = 37
	vVoltage    = 38
	vCurrent    = 39
	vRGB        = 40
	vRGBW       = 41
	vCool       = 44
	vHeat       = 45
	vFlowMode   = 46
	vText       = 47
	vCustom     = 48
	vPosition   = 49
	vPH         = 51
	vORP        = 52
	vEC         = 53
	vVar        = 54
	vVA         = 55
	vFactor     = 56
)

// children says which variables a child has from the start on, by its type.
// It may have others, which are shown once they were heard.
var children = map[int][]int{
	sDoor:       {vTripped},
	sMotion:     {vTripped},
	sSmoke:      {vTripped},
	sBinary:     {vStatus},
	sDimmer:     {vStatus, vPercentage},
	sCover:      {vUp, vDown, vStop, vPercentage},
	sTemp:       {vTemp},
	sHum:        {vHum},
	sBaro:       {vPressure},
	sWind:       {vWind},
	sRain:       {vRain},
	sUV:         {vUV},
	sWeight:     {vWeight},
	sPower:      {vWatt, vKWh},
	sHeater:     {vStatus, vTemp, vHeat},
	sDistance:   {vDistance},
	sLightLevel: nil, // calibrated or not: V_LEVEL or V_LIGHT_LEVEL
	sLock:       {vLock},
	sWater:      {vVolume},
	sAirQuality: {vLevel},
	sDust:       {vLevel},
	sRGB:        {vRGB, vPercentage},
	sRGBW:       {vRGBW, vPercentage},
	sColor:      {vRGB},
	sHVAC:       {vStatus, vTemp, vHeat, vFlowState},
	sMultimeter: {vVoltage},
	sSprinkler:  {vStatus},
	sWaterLeak:  {vTripped},
	sSound:      {vLevel},
	sVibration:  {vLevel},
	sMoisture:   nil, // V_LEVEL or V_TRIPPED
	sInfo:       {vText},
	sGas:        {vVolume},
	sGPS:        {vPosition},
	sWaterQual:  {vTemp},
}

// variables returns what is known of types of variables, by number.
func variables() map[int]*variable {
	m := make(map[int]*variable)
	number := func(typ int, key, name, unit, class string, precision int, low, high float64) *variable {
		m[typ] = &variable{min: low, max: high, property: serialbridge.Measured(key, name, unit, class, precision)}
		return m[typ]
	}
	total := func(typ int, key, name, unit, class string, precision int) *variable {
		v := number(typ, key, name, unit, class, precision, 0, 1e9)
		v.property.StateClass = "total_increasing"
		return v
	}
	number(vTemp, "temperature", "Temperature", "°C", "temperature", 1, -100, 1500).jump = 30
	number(vHum, "humidity", "Humidity", "%", "humidity", 1, 0, 100).jump = 40
	number(vPressure, "pressure", "Pressure", "hPa", "atmospheric_pressure", 1, 300, 1200).jump = 30
	total(vRain, "rain", "Rain", "mm", "precipitation", 1)
	number(vRainRate, "rain_rate", "Rain rate", "mm/h", "precipitation_intensity", 1, 0, 1000)
	number(vWind, "wind", "Wind", "", "", 1, 0, 1000)
	number(vGust, "gust", "Gust", "", "", 1, 0, 1000)
	number(vDirection, "wind_direction", "Wind direction", "°", "wind_direction", 0, 0, 360).property.StateClass = "measurement_angle"
	number(vUV, "uv", "UV", "", "", 1, 0, 1e4)
	number(vWeight, "weight", "Weight", "kg", "weight", 2, -1e6, 1e6)
	number(vDistance, "distance", "Distance", "", "", 1, -1e6, 1e6)
	number(vImpedance, "impedance", "Impedance", "Ω", "", 1, 0, 1e9)
	number(vWatt, "power", "Power", "W", "power", 1, -1e6, 1e6)
	total(vKWh, "energy", "Energy", "kWh", "energy", 3)
	number(vLightLevel, "light_level", "Light level", "%", "", 0, 0, 100)
	number(vFlow, "flow", "Flow", "", "", 2, -1e6, 1e6)
	volume := total(vVolume, "volume", "Volume", "m³", "volume", 3)
	volume.byChild = map[int]serialbridge.Property{
		sWater: {Key: "volume", Name: "Water", Unit: "m³", Class: "water"},
		sGas:   {Key: "volume", Name: "Gas", Unit: "m³", Class: "gas"},
	}
	level := number(vLevel, "level", "Level", "", "", 1, -1e6, 1e6)
	level.byChild = map[int]serialbridge.Property{
		sSound:      {Key: "level", Name: "Sound", Unit: "dB", Class: "sound_pressure"},
		sVibration:  {Key: "level", Name: "Vibration", Unit: "Hz", Class: "frequency"},
		sLightLevel: {Key: "level", Name: "Illuminance", Unit: "lx", Class: "illuminance"},
		sMoisture:   {Key: "level", Name: "Moisture", Unit: "%", Class: "moisture"},
		sDust:       {Key: "level", Name: "Dust"},
		sAirQuality: {Key: "level", Name: "Air quality"},
	}
	number(vVoltage, "voltage", "Voltage", "V", "voltage", 2, -1e5, 1e5)
	number(vCurrent, "current", "Current", "A", "current", 3, -1e5, 1e5)
	number(vPH, "ph", "pH", "", "ph", 2, 0, 14)
	number(vORP, "orp", "Redox potential", "mV", "", 0, -5000, 5000)
	number(vEC, "conductivity", "Conductivity", "μS/cm", "conductivity", 0, 0, 1e6)
	number(vVar, "reactive_power", "Reactive power", "var", "reactive_power", 0, -1e6, 1e6)
	number(vVA, "apparent_power", "Apparent power", "VA", "apparent_power", 0, 0, 1e6)
	number(vFactor, "power_factor", "Power factor", "", "power_factor", 2, -1, 1)

	other := func(typ int, kind serialbridge.Kind, key, name string, options ...string) *variable {
		m[typ] = &variable{property: serialbridge.Property{Key: key, Name: name, Kind: kind, Precision: -1, Options: options}}
		return m[typ]
	}
	other(vStatus, serialbridge.Switch, "status", "Status")
	other(vArmed, serialbridge.Switch, "armed", "Armed")
	other(vLock, serialbridge.Switch, "locked", "Locked")
	tripped := other(vTripped, serialbridge.Binary, "tripped", "Tripped")
	tripped.byChild = map[int]serialbridge.Property{
		sDoor:      {Key: "tripped", Name: "Door", Class: "opening"},
		sMotion:    {Key: "tripped", Name: "Motion", Class: "motion"},
		sSmoke:     {Key: "tripped", Name: "Smoke", Class: "smoke"},
		sWaterLeak: {Key: "tripped", Name: "Leak", Class: "moisture"},
		sSound:     {Key: "tripped", Name: "Sound", Class: "sound"},
		sVibration: {Key: "tripped", Name: "Vibration", Class: "vibration"},
		sMoisture:  {Key: "tripped", Name: "Moisture", Class: "moisture"},
	}
	other(vForecast, serialbridge.State, "forecast", "Forecast", "stable", "sunny", "cloudy", "unstable", "thunderstorm", "unknown")
	other(vFlowState, serialbridge.Choice, "mode", "Mode", "Off", "HeatOn", "CoolOn", "AutoChangeOver")
	other(vSpeed, serialbridge.Choice, "fan_speed", "Fan speed", "Min", "Normal", "Max", "Auto")
	other(vFlowMode, serialbridge.Choice, "flow_mode", "Flow mode", "Auto", "ContinuousOn", "PeriodicOn")
	for i := range 5 {
		n := strconv.Itoa(i + 1)
		other(vVar1+i, serialbridge.State, "var"+n, "Variable "+n)
	}
	other(vRGB, serialbridge.State, "rgb", "Colour")
	other(vRGBW, serialbridge.State, "rgbw", "Colour")
	other(vText, serialbridge.State, "text", "Text").byChild = map[int]serialbridge.Property{
		sInfo: {Key: "text", Name: "Text", Kind: serialbridge.Text, Max: maxPayload},
	}
	other(vCustom, serialbridge.State, "custom", "Custom value")
	other(vPosition, serialbridge.State, "position", "Position")
	other(vUp, serialbridge.Button, "up", "Up")
	other(vDown, serialbridge.Button, "down", "Down")
	other(vStop, serialbridge.Button, "stop", "Stop")
	setting := func(typ int, key, name, unit, class string, step float64) {
		v := other(typ, serialbridge.Setting, key, name)
		v.min, v.max = 0, 100
		v.property.Unit, v.property.Class, v.property.Max, v.property.Step, v.property.Precision = unit, class, 100, step, 0
	}
	setting(vPercentage, "percentage", "Percentage", "%", "", 1)
	setting(vCool, "setpoint_cool", "Cooling set point", "°C", "temperature", 0.5)
	setting(vHeat, "setpoint_heat", "Heating set point", "°C", "temperature", 0.5)
	return m
}

// of returns the property of a variable of a child.
func (v *variable) of(child, childType int, description string) serialbridge.Property {
	p := v.property
	if special, ok := v.byChild[childType]; ok {
		p.Name, p.Unit, p.Class = special.Name, special.Unit, special.Class
		if special.Kind != "" {
			p.Kind, p.Max = special.Kind, special.Max
		}
	}
	n := strconv.Itoa(child)
	p.Key += "_" + n
	if description == "" {
		p.Name += " " + n
	} else {
		p.Name = description + " (" + p.Name + ")"
	}
	return p
}

// read reads the value of a variable. It returns nil if there is none that can
// be, and reports false if the text is not of its form.
func (v *variable) read(payload string) (value any, ok bool) {
	switch v.property.Kind {
	case serialbridge.Measurement, serialbridge.Setting:
		if !decimal(payload) {
			return nil, false
		}
		f, err := strconv.ParseFloat(payload, 64)
		if err != nil {
			return nil, false
		}
		if f < v.min || f > v.max {
			return nil, true
		}
		return f + 0, true // not -0
	case serialbridge.Switch, serialbridge.Binary:
		return payload == "1", payload == "1" || payload == "0"
	case serialbridge.Button:
		return nil, true // it tells nothing
	}
	if len(v.property.Options) > 0 && !slices.Contains(v.property.Options, payload) {
		return nil, false
	}
	return payload, true
}

// write returns the payload that sets a variable.
func (v *variable) write(value any) (payload string, ok bool) {
	switch v.property.Kind {
	case serialbridge.Switch:
		on, ok := value.(bool)
		if on {
			return "1", ok
		}
		return "0", ok
	case serialbridge.Setting:
		f, ok := value.(float64)
		if !ok || !(f >= v.min && f <= v.max) {
			return "", false
		}
		steps := math.Round(f / v.property.Step)
		return strconv.FormatFloat(steps*v.property.Step, 'f', -1, 64), true
	case serialbridge.Choice:
		s, ok := value.(string)
		return s, ok && slices.Contains(v.property.Options, s)
	case serialbridge.Button:
		return "1", true
	case serialbridge.State: // it can be commanded where the child is a display
		s, ok := value.(string)
		return s, ok && text(s) && len(s) <= maxPayload && strings.Count(s, ";") < 5
	}
	return "", false
}

// decimal tells whether s is a number as nodes write it: up to ten digits before
// the point and six behind.
func decimal(s string) bool {
	whole, fraction, point := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	digits := func(s string, limit int) bool {
		return s != "" && len(s) <= limit && strings.Trim(s, "0123456789") == ""
	}
	return digits(whole, 10) && (!point || digits(fraction, 6))
}
