package devices

import (
	"bytes"
	"compress/flate"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

// definitionsData holds the definitions of zigbee-herdsman-converters 26.105.0 (MIT,
// see LICENSE-zigbee-herdsman-converters), from which oracle/definitions.mjs
// derives it. It stays as it is: what a lookup needs is read from it, and only the
// block with the definition is unpacked. Numbers are little-endian:
//
//	"LZD1"
//	u32  number of definitions
//	u32  number of models
//	u16  number of blocks
//	u16  definitions to a block
//	for each model, sorted:  u32 hash, u16 definition
//	for each block:          u32 length
//	the blocks, deflated
//
// A hash is FNV-1a of the model in lower case; of a definition that is only for
// some manufacturers of the model, with a zero byte and the name of the manufacturer.
//
// The first block holds the options that definitions refer to by number, the
// second what the others are deflated with as dictionary, the others the
// definitions; each is a line of JSON, see record. A model of which several
// definitions are known stands there for each, the last definition first: in that
// order they are tried.
//
//go:embed definitions.bin
var definitionsData []byte

// record is a definition as the data has it.
type record struct {
	Model         string           `json:"m"`
	Vendor        string           `json:"v"`
	Description   string           `json:"d"`
	ZigbeeModels  []string         `json:"z"`
	Fingerprints  []fingerprint    `json:"f"`
	WhiteLabels   []whiteLabel     `json:"w"`
	Exposes       []*Expose        `json:"e"`
	Options       []int            `json:"o"`
	Endpoints     map[string]uint8 `json:"ep"`
	MultiEndpoint int              `json:"me"`
	MultiSkip     []string         `json:"ms"`
	OTA           int              `json:"ota"`
	Clusters      []uint16         `json:"c"`
	Quirks        map[string]any   `json:"q"`
	Attributes    []rowRecord      `json:"a"`
	Datapoints    []rowRecord      `json:"t"`
}

// fingerprint says which devices a definition is for besides those of a model.
type fingerprint struct {
	ModelID            string                `json:"modelID"`
	ManufacturerName   string                `json:"manufacturerName"`
	ManufacturerID     *uint16               `json:"manufacturerID"`
	Type               string                `json:"type"`
	DateCode           string                `json:"dateCode"`
	HardwareVersion    *uint8                `json:"hardwareVersion"`
	ApplicationVersion *uint8                `json:"applicationVersion"`
	StackVersion       *uint8                `json:"stackVersion"`
	ZCLVersion         *uint8                `json:"zclVersion"`
	PowerSource        string                `json:"powerSource"`
	SoftwareBuildID    string                `json:"softwareBuildID"`
	IEEEAddress        string                `json:"ieeeAddr"` // a regular expression
	Priority           int                   `json:"priority"`
	Endpoints          []fingerprintEndpoint `json:"endpoints"`
}

type fingerprintEndpoint struct {
	ID       *uint8    `json:"ID"`
	Profile  *uint16   `json:"profileID"`
	DeviceID *uint16   `json:"deviceID"`
	Input    *[]uint16 `json:"inputClusters"`
	Output   *[]uint16 `json:"outputClusters"`
}

// whiteLabel is another name under which the device is sold.
type whiteLabel struct {
	Model        string        `json:"m"`
	Vendor       string        `json:"v"`
	Description  string        `json:"d"`
	Fingerprints []fingerprint `json:"f"`
}

// rowRecord is a row of attributes or datapoints as the data has it.
type rowRecord struct {
	Cluster       uint16         `json:"c"`
	ID            uint16         `json:"i"`
	Manufacturer  uint16         `json:"m"`
	Endpoint      uint8          `json:"e"`
	Property      string         `json:"p"`
	Kind          string         `json:"k"`
	Divisor       float64        `json:"d"`
	Precision     *int           `json:"x"`
	ReadScaleOnly int            `json:"ro"`
	Range         []float64      `json:"r"`
	Enum          map[string]any `json:"n"`
	Otherwise     any            `json:"o"`
	Argument      any            `json:"a"`
	Type          any            `json:"t"` // of an attribute its number, of a datapoint its name
	Read          int            `json:"g"`
	Silent        int            `json:"s"`
	Command       *uint8         `json:"C"`
	Tag           *uint8         `json:"T"`
	Also          int            `json:"b"`
	Report        []float64      `json:"R"` // seconds, seconds, change
}

const (
	headLength  = 16
	modelLength = 6
)

// database reads definitionsData.
type database struct {
	data                []byte
	definitions, models int
	blocks, perBlock    int
	options             [][]byte
	dictionary          []byte
}

func openDatabase(data []byte) (*database, error) {
	if len(data) < headLength || string(data[:4]) != "LZD1" {
		return nil, errors.New("devices: the definitions are damaged; make them anew with oracle/definitions.mjs")
	}
	d := &database{
		data:        data,
		definitions: int(binary.LittleEndian.Uint32(data[4:])),
		models:      int(binary.LittleEndian.Uint32(data[8:])),
		blocks:      int(binary.LittleEndian.Uint16(data[12:])),
		perBlock:    int(binary.LittleEndian.Uint16(data[14:])),
	}
	if len(data) < headLength+d.models*modelLength+d.blocks*4 || d.perBlock == 0 {
		return nil, errors.New("devices: the definitions end too early; make them anew with oracle/definitions.mjs")
	}
	options, err := d.block(0)
	if err == nil {
		d.options = bytes.Split(options, []byte("\n"))
		d.dictionary, err = d.block(1)
	}
	if err != nil {
		return nil, fmt.Errorf("devices: the definitions cannot be unpacked: %w", err)
	}
	return d, nil
}

// find returns the numbers of the definitions that may be of the model, which is in
// lower case, in the order in which they are to be tried.
func (d *database) find(model, manufacturer string) []int {
	found := d.at(model)
	if manufacturer != "" {
		found = append(found, d.at(model+"\x00"+manufacturer)...)
		slices.SortFunc(found, func(a, b int) int { return b - a })
	}
	return found
}

func (d *database) at(key string) []int {
	h := fnv.New32a()
	io.WriteString(h, key)
	hash := h.Sum32()
	at := func(i int) (uint32, int) {
		entry := d.data[headLength+i*modelLength:]
		return binary.LittleEndian.Uint32(entry), int(binary.LittleEndian.Uint16(entry[4:]))
	}
	low, high := 0, d.models
	for low < high {
		middle := (low + high) / 2
		if h, _ := at(middle); h < hash {
			low = middle + 1
		} else {
			high = middle
		}
	}
	var found []int
	for ; low < d.models; low++ {
		h, n := at(low)
		if h != hash {
			break
		}
		found = append(found, n)
	}
	return found
}

// block unpacks one.
func (d *database) block(n int) ([]byte, error) {
	lengths := headLength + d.models*modelLength
	if n >= d.blocks {
		return nil, io.ErrUnexpectedEOF
	}
	start := lengths + d.blocks*4
	for i := range n {
		start += int(binary.LittleEndian.Uint32(d.data[lengths+i*4:]))
	}
	end := start + int(binary.LittleEndian.Uint32(d.data[lengths+n*4:]))
	if end > len(d.data) {
		return nil, io.ErrUnexpectedEOF
	}
	return io.ReadAll(flate.NewReaderDict(bytes.NewReader(d.data[start:end]), d.dictionary))
}

// records returns the definitions of those numbers.
func (d *database) records(numbers []int) ([]*record, error) {
	var records []*record
	unpacked, lines := -1, [][]byte(nil)
	for _, n := range numbers {
		if block := n/d.perBlock + 2; block != unpacked {
			data, err := d.block(block)
			if err != nil {
				return nil, fmt.Errorf("devices: definition %d: %w", n, err)
			}
			unpacked, lines = block, bytes.Split(data, []byte("\n"))
		}
		if n%d.perBlock >= len(lines) {
			return nil, fmt.Errorf("devices: definition %d is missing", n)
		}
		r := new(record)
		if err := json.Unmarshal(lines[n%d.perBlock], r); err != nil {
			return nil, fmt.Errorf("devices: definition %d: %w", n, err)
		}
		records = append(records, r)
	}
	return records, nil
}

// definition makes a Definition of a record.
func (d *database) definition(r *record) (*Definition, error) {
	def := &Definition{
		Model: r.Model, Vendor: r.Vendor, Description: r.Description,
		OTA:           r.OTA != 0,
		Exposes:       r.Exposes,
		Endpoints:     r.Endpoints,
		MultiEndpoint: r.MultiEndpoint != 0, MultiEndpointSkip: r.MultiSkip,
		Clusters: r.Clusters,
		Quirks:   r.Quirks,
	}
	for _, e := range def.Exposes {
		e.complete(false)
	}
	for _, n := range r.Options {
		if n < 0 || n >= len(d.options) {
			return nil, fmt.Errorf("devices: option %d is missing", n)
		}
		o := new(Expose)
		if err := json.Unmarshal(d.options[n], o); err != nil {
			return nil, fmt.Errorf("devices: option %d: %w", n, err)
		}
		o.complete(false)
		def.Options = append(def.Options, o)
	}
	def.Attributes = r.attributes()
	for _, row := range r.Datapoints {
		t, _ := row.Type.(string)
		def.Datapoints = append(def.Datapoints, Datapoint{
			ID: uint8(row.ID), Property: row.Property, Conversion: row.conversion(), Type: t, Also: row.Also != 0, Silent: row.Silent != 0,
		})
	}
	return def, nil
}

// attributes makes the rows of attributes of a record.
func (r *record) attributes() []Attribute {
	var attributes []Attribute
	for _, row := range r.Attributes {
		if row.Command != nil && (row.Cluster == clusterDoorLock || row.Cluster == clusterScenes && row.numbersScenes()) {
			continue // their traits read commands whole, a row knows but one byte of them
		}
		a := Attribute{
			Cluster: row.Cluster, ID: row.ID, ManufacturerCode: row.Manufacturer, Endpoint: row.Endpoint,
			Property: row.Property, Conversion: row.conversion(), Command: row.Command, Tag: row.Tag, Read: row.Read != 0,
		}
		if t, ok := row.Type.(float64); ok {
			a.Type = zcl.Type(t)
		}
		if len(row.Report) == 3 {
			a.Report = &Report{
				Min: time.Duration(row.Report[0]) * time.Second, Max: time.Duration(row.Report[1]) * time.Second, Change: row.Report[2],
			}
		}
		attributes = append(attributes, a)
	}
	return attributes
}

// numbersScenes says that the row tells which scene a command is about.
func (r *rowRecord) numbersScenes() bool {
	numbered := func(v any) bool {
		word, _ := v.(string)
		return strings.HasPrefix(word, "recall_") || strings.HasPrefix(word, "store_")
	}
	for _, v := range r.Enum {
		if numbered(v) {
			return true
		}
	}
	return numbered(r.Otherwise)
}

func (r *rowRecord) conversion() Conversion {
	c := Conversion{
		Kind: r.Kind, Divisor: r.Divisor, ReadScaleOnly: r.ReadScaleOnly != 0, Precision: r.Precision,
		Otherwise: r.Otherwise, Argument: r.Argument,
	}
	if len(r.Range) == 4 {
		c.Wire, c.State = [2]float64(r.Range[:2]), [2]float64(r.Range[2:])
	}
	if r.Enum != nil {
		c.Enum = make(map[int64]any, len(r.Enum))
		for key, value := range r.Enum {
			if n, err := strconv.ParseInt(key, 10, 64); err == nil {
				c.Enum[n] = value
			}
		}
	}
	return c
}

// complete fills in what the data leaves out because it follows from the rest:
// the label is the name in words, the property is the name, but for the items of
// a list.
func (e *Expose) complete(item bool) {
	if e.Name != "" {
		if e.Label == "" {
			words := strings.ReplaceAll(e.Name, "_", " ")
			e.Label = strings.ToUpper(words[:1]) + words[1:]
		}
		if e.Property == "" && !item {
			e.Property = e.Name
		}
	}
	for _, f := range e.Features {
		f.complete(false)
	}
	if e.ItemType != nil {
		e.ItemType.complete(true)
	}
}
