package zcl

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Cluster is a cluster of the table.
type Cluster struct {
	ID               uint16
	Name             string
	ManufacturerCode uint16 // 0: of the standard
	Attributes       []AttributeInfo
	Commands         []Command // that a client sends to the server
	Responses        []Command // that a server sends to the client
}

// AttributeInfo is what the table says of an attribute.
type AttributeInfo struct {
	ID   uint16
	Name string
	Type Type
	facts
}

// Command is what the table says of a command of a cluster.
type Command struct {
	ID         uint8
	Name       string
	Parameters []Parameter
	facts
}

// Parameter is a field in the payload of a command.
type Parameter struct {
	Name string
	Type ParameterType
	facts
}

// facts are the rest of a line of the table, read only when somebody wants it.
type facts string

// all calls f for each fact; value is "" for one that is a word alone.
func (s facts) all(f func(key, value string)) {
	for word := range strings.FieldsSeq(string(s)) {
		key, value, _ := strings.Cut(word, "=")
		f(key, value)
	}
}

// ParameterType is the type of a parameter: a Type, or one of those that no
// attribute has.
type ParameterType uint16

// The types that only parameters have, with the numbers of zigbee-herdsman,
// and what they become in Go. The lists of numbers are as long as the parameter
// before them says.
const (
	ListUint8       ParameterType = 1001 // []any of uint64
	ListUint16      ParameterType = 1002
	ListUint24      ParameterType = 1003
	ListUint32      ParameterType = 1004
	ListZone        ParameterType = 1005 // []any of {zoneID, zoneStatus}
	ExtensionFields ParameterType = 1006 // []any of {clstId, len, extField}
	ListTransition  ParameterType = 1007 // []any of {transitionTime, heatSetpoint, coolSetpoint}
	Bytes           ParameterType = 1008 // []byte, all that is left
	GreenPowerFrame ParameterType = 1009 // []byte, as many as payloadSize says
	ListDatapoint   ParameterType = 1011 // []Datapoint
)

var typeNames = map[string]ParameterType{
	"bool": ParameterType(Boolean), "enum8": ParameterType(Enum8), "enum16": ParameterType(Enum16),
	"semi": ParameterType(Semi), "single": ParameterType(Single), "double": ParameterType(Double),
	"octstr": ParameterType(OctetString), "string": ParameterType(CharString), "octstr16": ParameterType(LongOctets), "string16": ParameterType(LongChars),
	"array": ParameterType(ArrayType), "struct": ParameterType(StructType), "set": ParameterType(SetType), "bag": ParameterType(BagType),
	"ToD": ParameterType(TimeOfDay), "date": ParameterType(Date), "UTC": ParameterType(UTCTime),
	"clusterId": ParameterType(ClusterID), "attribId": ParameterType(AttributeID), "bacOID": ParameterType(BACnetOID),
	"EUI64": ParameterType(IEEE), "key128": ParameterType(Key128), "unk": ParameterType(Unknown),
	"list-uint8": ListUint8, "list-uint16": ListUint16, "list-uint24": ListUint24, "list-uint32": ListUint32,
	"list-zone": ListZone, "extension-fields": ExtensionFields, "list-transition": ListTransition,
	"bytes": Bytes, "green-power-frame": GreenPowerFrame, "list-datapoint": ListDatapoint,
}

// parameterType reads the name of a type. The types with a width have it, in
// bits, at the end of their names.
func parameterType(name string) (ParameterType, bool) {
	if t, ok := typeNames[name]; ok {
		return t, true
	}
	kind := strings.TrimRight(name, "0123456789")
	first, ok := map[string]Type{"data": Data8, "map": Bitmap8, "uint": Uint8, "int": Int8}[kind]
	width, err := strconv.ParseUint(name[len(kind):], 10, 8)
	if !ok || err != nil || width == 0 || width > 64 || width%8 != 0 {
		return 0, false
	}
	return ParameterType(first) + ParameterType(width/8-1), true
}

//go:embed clusters.txt
var clustersText string

type clusterTable struct {
	all    []*Cluster
	byID   map[uint16]*Cluster
	byName map[string]*Cluster
}

// table is read when somebody first asks for a cluster: it takes a
// millisecond, and a house without Zigbee never needs it. The names in it are
// parts of the text, so that it takes little room.
var table = sync.OnceValue(func() *clusterTable {
	t, err := parseTable(clustersText)
	if err != nil {
		panic("zcl: clusters.txt: " + err.Error()) // a test has read it
	}
	return t
})

func parseTable(text string) (*clusterTable, error) {
	t := &clusterTable{byID: make(map[uint16]*Cluster), byName: make(map[string]*Cluster)}
	var c *Cluster
	var commands *[]Command
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		wrong := fmt.Errorf("line %d: %q is not understood", number, line)
		word, rest, _ := strings.Cut(line, " ")
		if word != "cluster" && c == nil {
			return nil, wrong
		}
		if word == "with" {
			name, rest, _ := strings.Cut(rest, " ")
			kind, rest, _ := strings.Cut(rest, " ")
			known, ok := parameterType(kind)
			if !ok || commands == nil {
				return nil, wrong
			}
			command := &(*commands)[len(*commands)-1]
			command.Parameters = append(command.Parameters, Parameter{Name: name, Type: known, facts: facts(rest)})
			continue
		}
		digits, rest, _ := strings.Cut(rest, " ")
		id, err := strconv.ParseUint(digits, 0, 16)
		if err != nil {
			return nil, wrong
		}
		name, rest, _ := strings.Cut(rest, " ")
		switch word {
		case "cluster":
			c, commands = &Cluster{ID: uint16(id), Name: name}, nil
			if code, ok := strings.CutPrefix(rest, "manufacturer="); ok {
				n, err := strconv.ParseUint(code, 0, 16)
				if err != nil {
					return nil, wrong
				}
				c.ManufacturerCode = uint16(n)
			}
			t.all = append(t.all, c)
			t.byID[c.ID] = c
			t.byName[name] = c
		case "attribute":
			kind, rest, _ := strings.Cut(rest, " ")
			known, ok := parameterType(kind)
			if !ok || known > 0xff {
				return nil, wrong
			}
			c.Attributes = append(c.Attributes, AttributeInfo{ID: uint16(id), Name: name, Type: Type(known), facts: facts(rest)})
		case "command", "response":
			commands = &c.Commands
			if word == "response" {
				commands = &c.Responses
			}
			*commands = append(*commands, Command{ID: uint8(id), Name: name, facts: facts(rest)})
		default:
			return nil, wrong
		}
	}
	return t, nil
}

// Clusters returns all clusters of the table in the order of their numbers.
func Clusters() []*Cluster { return table().all }

// ClusterByID returns the cluster of that number, or nil.
func ClusterByID(id uint16) *Cluster { return table().byID[id] }

// ClusterByName returns the cluster of that name, or nil.
func ClusterByName(name string) *Cluster { return table().byName[name] }

// ClusterName is the name of a cluster, or its number if it has none, as
// zigbee2mqtt writes it.
func ClusterName(id uint16) string {
	if c := ClusterByID(id); c != nil {
		return c.Name
	}
	return strconv.Itoa(int(id))
}

// Attribute returns the attribute of that number, or nil.
func (c *Cluster) Attribute(id uint16) *AttributeInfo {
	for i := range c.Attributes {
		if c.Attributes[i].ID == id {
			return &c.Attributes[i]
		}
	}
	return nil
}

// AttributeByName returns the attribute of that name, or nil.
func (c *Cluster) AttributeByName(name string) *AttributeInfo {
	for i := range c.Attributes {
		if c.Attributes[i].Name == name {
			return &c.Attributes[i]
		}
	}
	return nil
}

// AttributeName is the name of an attribute of a cluster, or its number if it has none.
func AttributeName(cluster, id uint16) string {
	if c := ClusterByID(cluster); c != nil {
		if a := c.Attribute(id); a != nil {
			return a.Name
		}
	}
	return strconv.Itoa(int(id))
}

// Command returns the command of that number which goes in that direction, or nil.
func (c *Cluster) Command(id uint8, serverToClient bool) *Command {
	commands := c.direction(serverToClient)
	for i := range commands {
		if commands[i].ID == id {
			return &commands[i]
		}
	}
	return nil
}

// CommandByName returns the command of that name which goes in that direction, or nil.
func (c *Cluster) CommandByName(name string, serverToClient bool) *Command {
	commands := c.direction(serverToClient)
	for i := range commands {
		if commands[i].Name == name {
			return &commands[i]
		}
	}
	return nil
}

func (c *Cluster) direction(serverToClient bool) []Command {
	if serverToClient {
		return c.Responses
	}
	return c.Commands
}

// Response is the number of the command that answers this one, if it has one.
func (c *Command) Response() (id uint8, ok bool) {
	c.all(func(key, value string) {
		if n, err := strconv.ParseUint(value, 0, 8); key == "response" && err == nil {
			id, ok = uint8(n), true
		}
	})
	return id, ok
}
