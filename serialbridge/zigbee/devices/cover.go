package devices

import (
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// Attributes and commands of the Window Covering cluster (section 7.4).
const (
	attrLiftPercentage = 0x0008
	attrTiltPercentage = 0x0009
	attrCoverMode      = 0x0017

	cmdUpOpen      = 0x00
	cmdDownClose   = 0x01
	cmdStopCover   = 0x02
	cmdGoToLift    = 0x05
	cmdGoToTilt    = 0x08
	closedPercents = 100
)

// The standard counts how far a cover is closed, people how far it is open: 100 is
// open, unless the user inverts it with the option invert_cover. The quirk
// coverInverted is a cover that counts the other way by itself; coverStateFromTilt
// one whose slats say whether it is open; coverPositionTiltDisableReport one that
// tells where it is and where nothing is to be assumed.
var (
	coverState = &Trait{
		Name: "cover_state", Exposes: []string{"cover"}, Clusters: []uint16{clusterWindowCovering},
		Keys: []string{"state"}, Set: setCoverState, Get: getCoverState,
	}
	coverPosition = &Trait{
		Name: "cover", Exposes: []string{"cover"}, Clusters: []uint16{clusterWindowCovering},
		Generate: generateCover, Shared: true,
		Decode: decodeCover,
		Keys:   []string{"position", "tilt"}, Set: setCoverPosition, Get: getCoverPosition,
		Configure: configureCover,
	}
	coverMode = &Trait{
		Name: "cover_mode", Exposes: []string{"cover_mode"}, Clusters: []uint16{clusterWindowCovering},
		Keys: []string{"cover_mode"}, Set: setCoverMode, Get: reads(clusterWindowCovering, attrCoverMode),
	}
	// coverViaLevel is a cover that is made like a dimmer. Where the device has
	// the cluster of covers too that one is at work.
	coverViaLevel = &Trait{
		Name: "cover_via_level", Exposes: []string{"cover"}, Clusters: []uint16{clusterLevel},
		Decode: decodeCoverLevel,
		Keys:   []string{"state", "position"}, Set: setCoverLevel, Get: reads(clusterLevel, attrCurrentLevel),
		Configure: configureCoverLevel,
	}
)

// openIsHigh says that a percentage on the wire says how far it is open.
func (c *Context) openIsHigh() bool {
	return c.Definition.is("coverInverted") != truthy(c.Options["invert_cover"])
}

func decodeCover(c *Context, m zigbee.Message) Values {
	values := make(Values)
	open := c.openIsHigh()
	fromTilt := c.Definition.is("coverStateFromTilt")
	// Not known is 255.
	if lift, ok := standardNumber(m, attrLiftPercentage); ok && lift <= closedPercents {
		position := lift
		if !open {
			position = closedPercents - lift
		}
		values["position"] = position
		if !fromTilt {
			values["state"] = coverWord(position > 0)
		}
	}
	if tilt, ok := standardNumber(m, attrTiltPercentage); ok && tilt <= closedPercents {
		position := tilt
		if !open {
			position = closedPercents - tilt
		}
		values["tilt"] = position
		if fromTilt {
			values["state"] = coverWord(position == closedPercents)
		}
	}
	if mode, ok := standardNumber(m, attrCoverMode); ok {
		bits := uint8(mode)
		values["cover_mode"] = map[string]any{
			"reversed": bits&1 != 0, "calibration": bits&2 != 0, "maintenance": bits&4 != 0, "led": bits&8 != 0,
		}
	}
	return values
}

func coverWord(open bool) string {
	if open {
		return "OPEN"
	}
	return "CLOSE"
}

func setCoverState(c *Context, key string, value any) (Result, error) {
	words := map[string]uint8{"open": cmdUpOpen, "on": cmdUpOpen, "close": cmdDownClose, "off": cmdDownClose, "stop": cmdStopCover}
	if truthy(c.Options["invert_cover"]) {
		words = map[string]uint8{"open": cmdDownClose, "on": cmdDownClose, "close": cmdUpOpen, "off": cmdUpOpen, "stop": cmdStopCover}
	}
	id, err := oneOf(key, value, words)
	return sends(command(c, clusterWindowCovering, id, nil), nil), err
}

func getCoverState(c *Context, _ string) ([]zigbee.Request, error) {
	if c.Definition.is("coverStateFromTilt") {
		return getCoverPosition(c, "tilt")
	}
	return getCoverPosition(c, "position")
}

func setCoverPosition(c *Context, key string, value any) (Result, error) {
	position, ok := strictNumber(value)
	if !ok {
		return Result{}, notNumber(key, value)
	}
	wire := position
	if !c.openIsHigh() {
		wire = closedPercents - position
	}
	percents, err := byteOf(key, wire)
	if err != nil {
		return Result{}, err
	}
	id := uint8(cmdGoToLift)
	if key == "tilt" {
		id = cmdGoToTilt
	}
	r := sends(command(c, clusterWindowCovering, id, pack(percents)), nil)
	if c.Definition.is("coverPositionTiltDisableReport") == truthy(c.Options["cover_position_tilt_disable_report"]) {
		r.State = Values{key: position}
	}
	return r, nil
}

func getCoverPosition(c *Context, key string) ([]zigbee.Request, error) {
	id := uint16(attrLiftPercentage)
	if key == "tilt" {
		id = attrTiltPercentage
	}
	return []zigbee.Request{c.read(clusterWindowCovering, id)}, nil
}

func setCoverMode(c *Context, key string, value any) (Result, error) {
	object, ok := value.(map[string]any)
	if !ok {
		return Result{}, notObject(key, value)
	}
	var mode uint8
	for i, name := range []string{"reversed", "calibration", "maintenance", "led"} {
		if truthy(object[name]) {
			mode |= 1 << i
		}
	}
	r, err := c.write(clusterWindowCovering, zcl.Attribute{ID: attrCoverMode, Type: zcl.Bitmap8, Value: mode})
	return sends(r, Values{key: value}), err
}

func configureCover(c *Context, endpoint uint8) []Step {
	var steps []Step
	for _, of := range []struct {
		name string
		id   uint16
	}{{"position", attrLiftPercentage}, {"tilt", attrTiltPercentage}} {
		if hasExpose(c.Definition, of.name) {
			steps = append(steps, report(endpoint, clusterWindowCovering, zigbee.Reporting{
				Attribute: of.id, Type: uint8(zcl.Uint8),
				Min: time.Second, Max: maxInterval, Change: 1,
			})...)
		}
	}
	return steps
}

func decodeCoverLevel(c *Context, m zigbee.Message) Values {
	level, ok := standardNumber(m, attrCurrentLevel)
	if !ok || !c.Definition.uses("cover_position_via_brightness") {
		return nil
	}
	position := rescale(level, 0, 255, 0, 100, 0)
	inverted := truthy(c.Options["invert_cover"])
	if inverted {
		position = closedPercents - position
	}
	return Values{"position": position, "state": coverWord(position > 0 != inverted)}
}

func setCoverLevel(c *Context, key string, value any) (Result, error) {
	position, ok := strictNumber(value)
	if !ok {
		words := map[string]float64{"open": 100, "close": 0, "stop": -1}
		var err error
		if position, err = oneOf(key, value, words); err != nil {
			return Result{}, err
		}
		if position < 0 {
			return sends(command(c, clusterLevel, cmdStop, []byte{0, 0}), nil), nil
		}
	}
	wire := position
	if c.openIsHigh() {
		wire = closedPercents - position
	}
	level, err := byteOf(key, rescale(wire, 0, 100, 0, 255, 0))
	r := sends(command(c, clusterLevel, cmdMoveToLevel+withOnOff, pack(level, uint16(0), uint16(0))), Values{"position": position})
	r.Taken = []string{"state", "position"}
	return r, err
}

func configureCoverLevel(c *Context, endpoint uint8) []Step {
	if !c.Definition.uses("cover_position_via_brightness") {
		return nil
	}
	return report(endpoint, clusterLevel, zigbee.Reporting{
		Attribute: attrCurrentLevel, Type: uint8(zcl.Uint8), Min: time.Second, Max: maxInterval, Change: 1,
	})
}
