//go:build linux

package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lintel/gateway/homeassistant"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
	"lintel/serialbridge/zigbee/zcl"
)

// zigbeeDevice are the flags by which a device is described.
type zigbeeDevice struct {
	model, manufacturer, ieee, input, output string
	endpoint                                 uint
}

func (z *zigbeeDevice) flags(flags *flag.FlagSet) {
	flags.StringVar(&z.model, "model", "", "what the device calls its `model` (ModelIdentifier)")
	flags.StringVar(&z.manufacturer, "manufacturer", "", "what it calls its `manufacturer` (ManufacturerName)")
	flags.StringVar(&z.ieee, "ieee", "0x0000000000000001", "IEEE `address`")
	flags.UintVar(&z.endpoint, "endpoint", 1, "`number` of the endpoint")
	flags.StringVar(&z.input, "in", "", "`clusters` that the endpoint serves, such as 0,6,0x0402; for models that nobody has described")
	flags.StringVar(&z.output, "out", "", "`clusters` that it uses")
}

// device returns the device and what is known of it.
func (z *zigbeeDevice) device(clusters ...uint16) (*zigbee.Device, *devices.Definition, error) {
	ieee, err := zigbee.ParseIEEEAddress(z.ieee)
	if err != nil {
		return nil, nil, err
	}
	if z.endpoint < 1 || z.endpoint > 240 {
		return nil, nil, fmt.Errorf("endpoint %d: right is 1 to 240", z.endpoint)
	}
	e := zigbee.Endpoint{ID: uint8(z.endpoint), Profile: zigbee.ProfileHomeAutomation, Attributes: make(map[uint16]map[uint16]any)}
	for _, list := range []struct {
		text string
		into *[]uint16
	}{{z.input, &e.Input}, {z.output, &e.Output}} {
		for text := range strings.SplitSeq(list.text, ",") {
			if text = strings.TrimSpace(text); text == "" {
				continue
			}
			id, err := clusterID(text)
			if err != nil {
				return nil, nil, err
			}
			*list.into = append(*list.into, id)
		}
	}
	for _, id := range clusters {
		if !slices.Contains(e.Input, id) && !slices.Contains(e.Output, id) {
			e.Input = append(e.Input, id)
		}
	}
	d := &zigbee.Device{IEEEAddress: ieee, NetworkAddress: 1, Type: zigbee.EndDevice, ModelID: z.model, ManufacturerName: z.manufacturer,
		Interview: zigbee.Successful, Endpoints: []zigbee.Endpoint{e}}
	definition := devices.Resolve(d)
	if definition == nil {
		return nil, nil, errors.New("nothing is known of the device: say its --model and --manufacturer, or the clusters that it has with --in and --out")
	}
	return d, definition, nil
}

// clusterID reads a number or the name of a cluster.
func clusterID(text string) (uint16, error) {
	if n, err := strconv.ParseUint(text, 0, 16); err == nil {
		return uint16(n), nil
	}
	if c := zcl.ClusterByName(text); c != nil {
		return c.ID, nil
	}
	return 0, fmt.Errorf("%q is no cluster: write a number such as 0x0402, or a name such as msTemperatureMeasurement", text)
}

// maxFrameLine bounds a line of hexadecimal digits.
const maxFrameLine = 4 << 10

func zigbeeDecodeCommand() command {
	return command{
		name:   "zigbee-decode",
		short:  "what ZCL frames of a device mean, hexadecimal on the standard input, one a line",
		define: zigbeeDecode,
	}
}

// zigbeeDecode reads ZCL frames in hexadecimal, one a line, and prints what each would
// publish, a JSON object a line.
func zigbeeDecode(flags *flag.FlagSet) action {
	var z zigbeeDevice
	z.flags(flags)
	cluster := flags.String("cluster", "", "the `cluster` of the frames: a number or a name")
	return func(call *call, _ []string) error {
		in, out, diagnostics := call.in, call.out, call.diagnostics
		if *cluster == "" {
			return fmt.Errorf("zigbee-decode takes the cluster of the frames, and the frames on its input: %w", errUsage)
		}
		id, err := clusterID(*cluster)
		if err != nil {
			return err
		}
		d, definition, err := z.device(id)
		if err != nil {
			return err
		}
		fmt.Fprintf(diagnostics, "%s %s: %s\n", definition.Vendor, definition.Model, definition.Description)
		c := &devices.Context{Device: d, State: make(devices.Values), Memory: make(map[string]any)}
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, maxFrameLine)
		for n := 1; lines.Scan(); n++ {
			text, _, _ := strings.Cut(lines.Text(), "#")
			text = strings.NewReplacer(" ", "", "\t", "", ":", "").Replace(text)
			if text == "" {
				continue
			}
			data, err := hex.DecodeString(text)
			if err != nil {
				return fmt.Errorf("line %d: %w: write each frame as hexadecimal digits, from its frame control on", n, err)
			}
			c.Now = time.Now()
			m, err := zigbee.ParseMessage(zigbee.Incoming{IEEEAddress: d.IEEEAddress, SourceEndpoint: uint8(z.endpoint),
				DestinationEndpoint: zigbee.EndpointHome, Cluster: id, Data: data}, c.Now)
			if err != nil {
				fmt.Fprintf(diagnostics, "line %d: %v\n", n, err)
			}
			known := d.Endpoints[0].Attributes
			for _, a := range m.Attributes {
				if known[id] == nil {
					known[id] = make(map[uint16]any)
				}
				known[id][a.ID] = a.Value // divisors and the like
			}
			values, _ := definition.Decode(c, m)
			for key, value := range values {
				c.State[key] = value
			}
			if err := encoder.Encode(values); err != nil {
				return err
			}
		}
		return lines.Err()
	}
}

func zigbeeDiscoveryCommand() command {
	return command{
		name:   "zigbee-discovery",
		short:  "what Home Assistant is told of a Zigbee device",
		define: zigbeeDiscovery,
	}
}

// zigbeeDiscovery prints the discovery documents of a device, each with its topic before
// it.
func zigbeeDiscovery(flags *flag.FlagSet) action {
	var z zigbeeDevice
	z.flags(flags)
	name := flags.String("name", "", "friendly `name`; empty: the IEEE address")
	base := flags.String("base-topic", "zigbee2mqtt", "base `topic` of the network")
	coordinator := flags.String("coordinator", "0x0000000000000000", "IEEE `address` of the coordinator")
	return func(c *call, _ []string) error {
		d, definition, err := z.device()
		if err != nil {
			return err
		}
		if *name == "" {
			*name = d.IEEEAddress.String()
		}
		documents, err := homeassistant.ZigbeeDocuments(
			homeassistant.ZigbeeOptions{BaseTopic: *base, Coordinator: *coordinator, Version: version},
			homeassistant.ZigbeeEntity{ID: d.IEEEAddress.String(), Name: *name, Model: definition.Model, Vendor: definition.Vendor,
				Description: definition.Description, Exposes: append(definition.Exposes, devices.LinkQuality()), OTA: definition.OTA})
		if err != nil {
			return err
		}
		for _, document := range documents {
			fmt.Fprintf(c.out, "%s %s\n", document.Topic, document.Payload)
		}
		return nil
	}
}
