package devices

import (
	"encoding/binary"
	"slices"
	"strings"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// Clusters of the intruder alarm system (chapter 8).
const (
	clusterZone = 0x0500
	clusterACE  = 0x0501
)

// zoneTraits are those of alarm sensors and key pads.
var zoneTraits = []*Trait{
	{Name: "zone", Clusters: []uint16{clusterZone}, Exposes: zoneProperties(), Named: true, Generate: exposeZone, Decode: decodeZone, Configure: configureZone},
	{Name: "zone action", Clusters: []uint16{clusterZone}, Exposes: []string{"action"}, Decode: decodeZoneAction},
	{Name: "key pad", Clusters: []uint16{clusterACE}, Exposes: []string{"action"}, Decode: decodeACE},
}

// What alarms may mean. The exposes of a device tell which it is.
var zones = []string{
	"contact", "occupancy", "presence", "smoke", "water_leak", "water", "carbon_monoxide", "gas", "sos", "vibration",
	"rain", "pressure", "alarm", "moving",
}

// zoneBits are the bits of the zone status besides the alarms (section 8.2.2.2.1.3).
var zoneBits = []struct {
	name string
	bit  uint
}{
	{"tamper", 2}, {"battery_low", 3}, {"supervision_reports", 4}, {"restore_reports", 5}, {"trouble", 6},
	{"ac_status", 7}, {"test", 8}, {"battery_defect", 9},
}

func zoneProperties() []string {
	names := []string{"alarm_1", "alarm_2", "ac_connected", "enrolled", "zone_id", "action"}
	for _, z := range zones {
		names = append(names, z, z+"_alarm_1", z+"_alarm_2")
	}
	for _, b := range zoneBits {
		names = append(names, b.name)
	}
	return names
}

// zone is how the status of a zone is told.
type zone struct {
	alarm1, alarm2 string // properties; empty: not told
	inverted       bool
	attributes     []string
}

// exposedZone is the zone that the exposes tell of.
func exposedZone(d *Definition) zone {
	var z zone
	for _, b := range zoneBits {
		if d.shows(b.name) {
			z.attributes = append(z.attributes, b.name)
		}
	}
	if d.shows("alarm_1") {
		z.alarm1 = "alarm_1"
	}
	if d.shows("alarm_2") {
		z.alarm2 = "alarm_2"
	}
	for _, name := range zones {
		switch {
		case d.shows(name + "_alarm_1"):
			z.alarm1, z.alarm2 = name+"_alarm_1", name+"_alarm_2"
		case z.alarm1 == "" && z.alarm2 == "" && d.shows(name):
			z.alarm1 = name
		default:
			continue
		}
		z.inverted = name == "contact"
		break
	}
	if d.is("ias", "invert") {
		z.inverted = !z.inverted
	}
	if d.is("ias", "alarm2") && z.alarm2 == "" {
		z.alarm1, z.alarm2 = "", z.alarm1
	}
	return z
}

// Attributes and commands of the IAS Zone cluster (section 8.2.2).
const (
	zoneState        = 0x0000
	zoneStatus       = 0x0002
	zoneCIEAddress   = 0x0010
	zoneID           = 0x0011
	zoneStatusChange = 0x00
)

// statusChange returns the status that a Zone Status Change Notification tells.
func statusChange(m zigbee.Message) (uint16, bool) {
	f := m.Frame
	if f.Type != zcl.Specific || !f.ServerToClient || f.Command != zoneStatusChange || len(f.Payload) < 2 {
		return 0, false
	}
	return binary.LittleEndian.Uint16(f.Payload), true
}

func decodeZone(c *Context, m zigbee.Message) Values {
	values := Values{}
	status, notified := statusChange(m)
	if !notified {
		raw, ok := reportedNumber(m, zoneStatus)
		if c.Definition.uses("ias_enroll") && tells(m) {
			state, hasState := reportedNumber(m, zoneState)
			values["enrolled"] = !hasState || state != 0
			if id, ok := reportedNumber(m, zoneID); ok {
				values["zone_id"] = id
			}
			if address, ok := reported(m, zoneCIEAddress); ok {
				if n, ok := zcl.Int(address); ok {
					values["ias_cie_address"] = zigbee.IEEEAddress(n).String()
				}
			}
		}
		if !ok {
			return values
		}
		status = uint16(raw)
	}
	if table, ok := c.Definition.quirk("zone"); ok {
		kind := "reports"
		if notified {
			kind = "commands"
		}
		tables, _ := table.(map[string]any)
		bits, _ := tables[kind].(map[string]any)
		for property, told := range bits {
			row, _ := told.([]any)
			if len(row) != 2 {
				continue
			}
			bit, ok := zcl.Int(row[0])
			if !ok || bit < 0 || bit > 15 {
				continue
			}
			if first := c.Definition.suffix(zigbee.EndpointHome); first != "" && c.Definition.suffix(m.Endpoint) != "" {
				if name, ok := strings.CutSuffix(property, first); ok { // the table is that of the first endpoint
					property = name + c.Definition.suffix(m.Endpoint)
				}
			}
			values[property] = (status>>bit&1 != 0) != (row[1] == true)
			c.zoneTimeout(m.Endpoint, zone{alarm1: property})
		}
		return values
	}
	z := exposedZone(c.Definition)
	if z.alarm1 != "" {
		values[z.alarm1] = (status&1 != 0) != z.inverted
	}
	if z.alarm2 != "" {
		values[z.alarm2] = (status&2 != 0) != z.inverted
	}
	for _, b := range zoneBits {
		if slices.Contains(z.attributes, b.name) {
			values[b.name] = status>>b.bit&1 != 0
		}
	}
	c.zoneTimeout(m.Endpoint, z)
	return values
}

// zoneTimeout ends an alarm that the device never says to be over.
func (c *Context) zoneTimeout(endpoint uint8, z zone) {
	property := z.alarm1
	if property == "" {
		property = z.alarm2
	}
	if property == "" || !c.Definition.timesOut(property) && !c.Definition.is("ias", "timeout") {
		return
	}
	over := Values{}
	for _, p := range []string{z.alarm1, z.alarm2} {
		if p != "" {
			over[p] = false
		}
	}
	c.timeout(property, endpoint, over)
}

// zoneActions are what buttons that pose as alarms mean by the zone status.
var zoneActions = []string{"off", "single", "double", "hold"}

func decodeZoneAction(c *Context, m zigbee.Message) Values {
	status, ok := statusChange(m)
	if !ok || !c.Definition.uses("command_status_change_notification_action") || int(status) >= len(zoneActions) {
		return nil
	}
	return Values{"action": zoneActions[status]}
}

func exposeZone(c *Context, endpoint uint8) []*Expose {
	if c.firstWith(clusterZone) != endpoint {
		return nil
	}
	expose := func(name, description, category string) *Expose {
		return &Expose{Type: "binary", Name: name, Property: name, Access: Published, ValueOn: true, ValueOff: false,
			Description: description, Category: category}
	}
	return []*Expose{
		expose("alarm_1", "Indicates whether IAS Zone alarm 1 is active", ""),
		expose("alarm_2", "Indicates whether IAS Zone alarm 2 is active", ""),
		expose("tamper", "Indicates whether the device is tampered", "diagnostic"),
		expose("battery_low", "Indicates whether the battery of the device is almost empty", "diagnostic"),
	}
}

// configureZone sets up reports of the status where the definition asks for them.
// Enrolment is the network's.
func configureZone(c *Context, endpoint uint8) []Step {
	if !serves(c, endpoint, clusterZone) || !c.Definition.is("ias", "reporting") {
		return nil
	}
	return report(endpoint, clusterZone, zigbee.Reporting{Attribute: zoneStatus, Type: uint8(zcl.Bitmap16), Max: maxInterval})
}

// armModes are the arm modes of the command Arm (section 8.3.2.3.1) and what panels
// tell besides.
var armModes = []string{
	"disarm", "arm_day_zones", "arm_night_zones", "arm_all_zones", "exit_delay", "entry_delay",
	"not_ready", "in_alarm", "arming_stay", "arming_night", "arming_away",
}

// Commands of the IAS ACE cluster that key pads send (section 8.3.2.3).
const (
	aceArm            = 0x00
	aceEmergency      = 0x02
	acePanic          = 0x04
	aceGetPanelStatus = 0x07
)

func decodeACE(c *Context, m zigbee.Message) Values {
	f := m.Frame
	if f.Type != zcl.Specific || f.ServerToClient {
		return nil
	}
	if f.Command == aceGetPanelStatus && c.Definition.uses("ias_ace_occupancy_with_timeout") {
		c.timeout("occupancy", m.Endpoint, Values{"occupancy": false})
		c.noOccupancySince(m.Endpoint, true)
		return Values{"occupancy": true}
	}
	values := Values{}
	if _, listed := c.Definition.quirk("converters"); listed && f.Command != aceArm &&
		!c.Definition.uses(map[uint8]string{aceEmergency: "command_emergency", acePanic: "command_panic"}[f.Command]) {
		return nil
	}
	switch f.Command {
	case aceEmergency:
		values["action"] = c.named("emergency", m.Endpoint)
	case acePanic:
		values["action"] = c.named("panic", m.Endpoint)
	case aceArm:
		if len(f.Payload) < 3 || len(f.Payload) < 3+int(f.Payload[1]) {
			return nil
		}
		n := int(f.Payload[1])
		if int(f.Payload[0]) < len(armModes) {
			values["action"] = c.named(armModes[f.Payload[0]], m.Endpoint)
		}
		values["action_code"] = string(f.Payload[2 : 2+n])
		values["action_zone"] = nil // all zones
		if zone := f.Payload[2+n]; zone != 0xff {
			values["action_zone"] = float64(zone)
		}
		if !c.Definition.uses("command_arm") {
			values["action_transaction"] = float64(f.Sequence)
		}
	default:
		return nil
	}
	if c.repeated(m) {
		return nil
	}
	if m.Group != 0 && !c.Definition.is("disableActionGroup") {
		values["action_group"] = float64(m.Group)
	}
	return values
}

// named returns an action with the name of the endpoint that it came from, if the
// definition has it so.
func (c *Context) named(action string, endpoint uint8) string {
	if !c.Definition.MultiEndpoint || slices.Contains(c.Definition.MultiEndpointSkip, action) {
		return action
	}
	return action + c.Definition.suffix(endpoint)
}
