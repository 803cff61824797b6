package devices

// Commands of the IAS Warning Device cluster (section 8.4).
const (
	cmdStartWarning = 0x00
	cmdSquawk       = 0x01
)

// The quirk reversedWarning is a siren that has the fields of the first byte where
// the bits of figure 8-21 are read from the other end.
var (
	warning = &Trait{
		Name: "warning", Exposes: []string{"warning"},
		Keys: []string{"warning"}, Set: setWarning,
	}
	// sirens are warning devices that nobody has described.
	sirens = &Trait{
		Name: "warning (generated)", Exposes: []string{"warning"}, Clusters: []uint16{clusterWarning},
		Generate: generateWarning, Shared: true,
	}
	squawk = &Trait{
		Name: "squawk", Exposes: []string{"squawk", "warning"},
		Keys: []string{"squawk"}, Set: setSquawk,
	}
	siren = &Trait{
		Name: "alarm", Exposes: []string{"alarm"}, Clusters: []uint16{clusterWarning, 0x0500},
		Keys: []string{"alarm"}, Set: setSiren,
	}
)

var (
	warningModes = map[string]uint8{
		"stop": 0, "burglar": 1, "fire": 2, "emergency": 3, "police_panic": 4, "fire_panic": 5, "emergency_panic": 6,
	}
	warningLevels = map[string]uint8{"low": 0, "medium": 1, "high": 2, "very_high": 3}
	squawkModes   = map[string]uint8{"system_is_armed": 0, "system_is_disarmed": 1}
)

func setWarning(c *Context, key string, value any) (Result, error) {
	object, ok := value.(map[string]any)
	if !ok {
		return Result{}, notObject(key, value)
	}
	or := func(name string, usual any) any {
		if v := object[name]; v != nil && v != "" {
			return v
		}
		return usual
	}
	mode, err := oneOf(key+".mode", or("mode", "emergency"), warningModes)
	if err != nil {
		return Result{}, err
	}
	level, err := oneOf(key+".level", or("level", "medium"), warningLevels)
	if err != nil {
		return Result{}, err
	}
	strobeLevel, err := oneOf(key+".strobe_level", or("strobe_level", "medium"), warningLevels)
	if err != nil {
		return Result{}, err
	}
	strobe := truthy(or("strobe", true))
	var numbers [2]float64
	for i, of := range []struct {
		name  string
		usual float64
	}{{"duration", 10}, {"strobe_duty_cycle", 0}} {
		n, ok := numeric(or(of.name, of.usual))
		if !ok {
			return Result{}, notNumber(key+"."+of.name, object[of.name])
		}
		numbers[i] = n
	}
	duration, err := wordOf(key+".duration", numbers[0])
	if err != nil {
		return Result{}, err
	}
	duty, err := byteOf(key+".strobe_duty_cycle", numbers[1]*10)
	if err != nil {
		return Result{}, err
	}
	info := mode<<4 | flag(strobe)<<2 | level
	if c.Definition.is("reversedWarning") {
		info = mode | flag(strobe)<<4 | level<<6
	}
	return sends(command(c, clusterWarning, cmdStartWarning, pack(info, duration, duty, strobeLevel)), nil), nil
}

func flag(on bool) uint8 {
	if on {
		return 1
	}
	return 0
}

func setSquawk(c *Context, key string, value any) (Result, error) {
	object, ok := value.(map[string]any)
	if !ok {
		return Result{}, notObject(key, value)
	}
	mode, err := oneOf(key+".state", object["state"], squawkModes)
	if err != nil {
		return Result{}, err
	}
	level := object["level"]
	if !truthy(level) {
		level = "very_high"
	}
	loud, err := oneOf(key+".level", level, warningLevels)
	if err != nil {
		return Result{}, err
	}
	info := mode | flag(truthy(object["strobe"]))<<4 | loud<<6
	return sends(command(c, clusterWarning, cmdSquawk, pack(info)), nil), nil
}

// setSiren is the simple siren: an alarm for five minutes, or none. The quirk
// sirenLevels is one whose level stands in both halves.
func setSiren(c *Context, key string, value any) (Result, error) {
	on := value != "alarm" && value != "OFF" && value != false
	info := uint8(3<<6) | flag(on)<<2
	if c.Definition.is("sirenLevels") {
		info = flag(on)<<7 | flag(on)<<6
	}
	return sends(command(c, clusterWarning, cmdStartWarning, pack(info, uint16(300), uint8(0), uint8(0))), nil), nil
}
