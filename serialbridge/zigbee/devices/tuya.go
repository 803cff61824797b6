package devices

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// Types of datapoints on the wire.
const (
	pointRaw = iota
	pointBool
	pointNumber
	pointString
	pointEnum
	pointBitmap
)

var pointTypes = []string{"raw", "bool", "number", "string", "enum", "bitmap"}

// Commands that carry datapoints.
const (
	tuyaDataRequest     = 0x00
	tuyaDataResponse    = 0x01
	tuyaDataReport      = 0x02
	tuyaSendData        = 0x04
	tuyaActiveStatusAlt = 0x05
	tuyaActiveStatus    = 0x06
)

// point is a datapoint on the wire.
type point struct {
	id   uint8
	typ  uint8
	data []byte
}

// pointsOf returns the datapoints of a message. What follows one that is cut off is
// left out: some devices end their frames with bytes that are none.
func pointsOf(m zigbee.Message) []point {
	f := m.Frame
	if m.Cluster != zigbee.ClusterTuya || f.Type != zcl.Specific || len(f.Payload) < 2 {
		return nil
	}
	switch f.Command {
	case tuyaDataResponse, tuyaDataReport, tuyaActiveStatus, tuyaActiveStatusAlt:
		return parsePoints(f.Payload[2:]) // after the sequence number
	}
	return nil
}

func parsePoints(data []byte) []point {
	var points []point
	for len(data) >= 4 {
		n := int(binary.BigEndian.Uint16(data[2:]))
		if len(data) < 4+n {
			break
		}
		points = append(points, point{id: data[0], typ: data[1], data: data[4 : 4+n : 4+n]})
		data = data[4+n:]
	}
	return points
}

// appendPoint appends a datapoint as it goes over the air.
func appendPoint(data []byte, p point) []byte {
	data = append(data, p.id, p.typ)
	data = binary.BigEndian.AppendUint16(data, uint16(len(p.data)))
	return append(data, p.data...)
}

// value is what a datapoint holds: []byte, bool, int64 or string; nil if it is of no
// type or too short.
func (p point) value() any {
	switch p.typ {
	case pointRaw:
		return append([]byte{}, p.data...)
	case pointBool:
		return len(p.data) > 0 && p.data[0] == 1
	case pointNumber, pointBitmap:
		if len(p.data) > 4 {
			return nil
		}
		var n uint32
		for _, b := range p.data {
			n = n<<8 | uint32(b)
		}
		return int64(int32(n))
	case pointString:
		return latin1(p.data)
	case pointEnum:
		if len(p.data) > 0 {
			return int64(p.data[0])
		}
	}
	return nil
}

// latin1 makes a text of bytes, each a character.
func latin1(data []byte) string {
	runes := make([]rune, len(data))
	for i, b := range data {
		runes[i] = rune(b)
	}
	return string(runes)
}

// pointOf makes a datapoint of a value of the wire.
func pointOf(id uint8, typ string, value any) (point, error) {
	if typ == "" {
		switch value.(type) {
		case bool:
			typ = "bool"
		case string:
			typ = "string"
		case []byte:
			typ = "raw"
		default:
			typ = "number"
		}
	}
	p := point{id: id, typ: uint8(slices.Index(pointTypes, typ))}
	wrong := fmt.Errorf("%.40q is no value of type %s of a datapoint", fmt.Sprint(value), typ)
	switch typ {
	case "raw", "string":
		switch v := value.(type) {
		case string:
			for _, r := range v {
				if r > 0xff {
					return p, wrong
				}
				p.data = append(p.data, byte(r))
			}
		case []byte:
			p.data = v
		case []any:
			for _, item := range v {
				n, ok := zcl.Int(item)
				if !ok || n < 0 || n > 0xff {
					return p, wrong
				}
				p.data = append(p.data, byte(n))
			}
		default:
			return p, wrong
		}
		if len(p.data) > 64 {
			return p, fmt.Errorf("a datapoint holds 64 bytes at most, not %d", len(p.data))
		}
		return p, nil
	}
	n, ok := numberOf(value)
	n = math.Floor(n + 0.5)
	if !ok || math.IsNaN(n) {
		return p, wrong
	}
	switch typ {
	case "bool":
		p.data = []byte{0}
		if n != 0 {
			p.data[0] = 1
		}
	case "number":
		if n < math.MinInt32 || n > math.MaxUint32 {
			return p, wrong
		}
		p.data = binary.BigEndian.AppendUint32(nil, uint32(int64(n)))
	case "enum", "bitmap":
		if n < 0 || n > 0xff {
			return p, wrong
		}
		p.data = []byte{byte(n)}
	default:
		return p, fmt.Errorf("%.20q is no type of a datapoint: it is one of %v", typ, pointTypes)
	}
	return p, nil
}

// datapointTrait is that of the rows in Definition.Datapoints.
var datapointTrait = &Trait{
	Name: "datapoints", Clusters: []uint16{zigbee.ClusterTuya}, Named: true, Each: true,
	Decode: decodeDatapoints,
	Takes: func(d *Definition, key string, get bool) bool {
		return !get && d.datapoint(key) != nil
	},
	Set:       setDatapoints,
	Configure: configureDatapoints,
}

// datapoint finds the row of a key.
func (d *Definition) datapoint(key string) *Datapoint {
	var found *Datapoint
	for i := range d.Datapoints {
		p := &d.Datapoints[i]
		if p.Property == key && (found == nil || !found.sendable() && p.sendable()) {
			found = p
		}
	}
	return found
}

func decodeDatapoints(c *Context, m zigbee.Message) Values {
	points := pointsOf(m)
	if len(points) == 0 || c.repeated(m) {
		return nil
	}
	values := Values{}
	for _, p := range points {
		first := true
		for i := range c.Definition.Datapoints {
			row := &c.Definition.Datapoints[i]
			if row.ID != p.id || !first && !row.Also {
				continue
			}
			first = false
			if row.readable() {
				maps.Copy(values, row.values(c, row.Property, p.value()))
			}
		}
	}
	return values
}

// setDatapoints sends a datapoint. The library sends each in a message of its own.
func setDatapoints(c *Context, key string, value any) (Result, error) {
	row := c.Definition.datapoint(key)
	if c.skipsState(key, value) {
		return Result{}, nil
	}
	raw, err := row.encode(c, value)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", key, err)
	}
	result := Result{State: Values{key: value}}
	if row.Silent {
		result.State = nil
	}
	points, several := raw.([]point)
	if !several {
		p, err := pointOf(row.ID, row.writeType(), raw)
		if err != nil {
			return Result{}, fmt.Errorf("%s: %w", key, err)
		}
		points = []point{p}
	}
	for _, p := range points {
		result.Requests = append(result.Requests, c.sendPoint(p))
	}
	return result, nil
}

// skipsState says that a state of ON beside a brightness is not sent to what is on
// already: it would go to full brightness first.
func (c *Context) skipsState(key string, value any) bool {
	if key != "state" && len(key) > 6 && key[:6] != "state_" || len(c.Message) < 2 || !c.Definition.is("tuya", "skipState") {
		return false
	}
	_, beside := c.Message["brightness"]
	return beside && (key == "state" || len(key) > 6 && key[:6] == "state_") && c.State[key] == value
}

// writeType is the type that a row is sent as.
func (p *Datapoint) writeType() string {
	if p.Type == "" && p.Kind == "enum" {
		return "enum"
	}
	if p.Type == "" && p.Kind == "bool" {
		return "bool"
	}
	return p.Type
}

func (c *Context) sendPoint(p point) zigbee.Request {
	command := uint8(tuyaDataRequest)
	if c.Definition.text("tuyaSendCommand") == "sendData" {
		command = tuyaSendData
	}
	endpoint := uint8(zigbee.EndpointHome)
	if c.Device != nil && len(c.Device.Endpoints) > 0 {
		endpoint = c.Device.Endpoints[0].ID
	}
	// The device is told not to answer, so nobody waits: it tells the datapoint when it has it.
	return zigbee.Request{Endpoint: endpoint, Cluster: zigbee.ClusterTuya, NoResponse: true, Frame: zcl.Frame{
		Type: zcl.Specific, DisableDefaultResponse: true, Command: command, Payload: appendPoint([]byte{1, 0}, p)}}
}

// configureDatapoints asks for everything where the definition wants that, else the
// device tells by and by.
func configureDatapoints(c *Context, endpoint uint8) []Step {
	if c.firstWith(zigbee.ClusterTuya) != endpoint {
		return nil
	}
	command := func(id uint8, payload ...byte) Step {
		return Step{Endpoint: endpoint, Optional: true, Request: &zigbee.Request{Endpoint: endpoint, Cluster: zigbee.ClusterTuya,
			Frame: zcl.Frame{Type: zcl.Specific, Command: id, Payload: payload}, NoResponse: true}}
	}
	var steps []Step
	if c.Definition.is("tuya", "query") || c.Definition.Generated {
		steps = append(steps, command(zigbee.TuyaDataQuery))
	}
	if c.Definition.is("tuya", "mcuVersion") {
		steps = append(steps, command(zigbee.TuyaMCUVersionRequest, 2, 0))
	}
	return steps
}

// wakeTrait reads what makes a Tuya device begin to speak: these attributes of the
// Basic cluster in this order, as Tuya's own gateways do.
var wakeTrait = &Trait{
	Name: "tuya",
	Configure: func(c *Context, endpoint uint8) []Step {
		tuya := c.Definition.is("tuya") || len(c.Definition.Datapoints) > 0 || c.firstWith(zigbee.ClusterTuya) != 0
		if !tuya || c.Device.Endpoints[0].ID != endpoint {
			return nil
		}
		steps := []Step{readStep(endpoint, clusterBasic, 0x0004, 0x0000, 0x0001, 0x0005, 0x0007, 0xfffe)}
		if c.Definition.is("tuya", "bindBasic") {
			steps = append(steps, Step{Endpoint: endpoint, Bind: []uint16{clusterBasic}})
		}
		return steps
	},
}

// SyncTime returns what a Tuya device that asks for the time is answered, if its definition
// or its user knows from which year it counts.
func (d *Definition) SyncTime(c *Context) (zcl.Frame, bool) {
	start := d.text("tuya", "timeStart")
	if text, ok := c.Options["time_start"].(string); ok && text != "" {
		start = text
	}
	var epoch zigbee.TuyaEpoch
	switch {
	case start == "2000":
		epoch = zigbee.TuyaSince2000
	case start == "1970" || start == "" && d.Generated:
		epoch = zigbee.TuyaSince1970
	default:
		return zcl.Frame{}, false
	}
	return zcl.Frame{Type: zcl.Specific, Command: zigbee.TuyaSyncTime, Payload: zigbee.TuyaTime(c.Now, epoch)}, true
}
