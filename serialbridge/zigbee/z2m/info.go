package z2m

import (
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"lintel/hardware"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
	"lintel/serialbridge/zigbee/zcl"
)

// contractVersion is the version of zigbee2mqtt whose contract this is. Front ends look
// at it to know what they may ask for.
const contractVersion = "2.14.1"

// publishInfo publishes bridge/info. The mutex is held.
func (b *Bridge) publishInfo() {
	info, parameters, _ := b.network.Info()
	end := b.network.PermitJoinEnd()
	meta := info.Meta
	if meta == nil {
		meta = map[string]any{"revision": info.Revision}
	}
	payload := map[string]any{
		"version":                    contractVersion,
		"commit":                     "lintel " + b.o.Version,
		"zigbee_herdsman":            map[string]any{"version": b.o.Version},
		"zigbee_herdsman_converters": map[string]any{"version": b.o.Version},
		"coordinator":                map[string]any{"ieee_address": info.IEEEAddress, "type": info.Type, "meta": meta},
		"network": map[string]any{
			"pan_id": parameters.PANID, "channel": parameters.Channel,
			"extended_pan_id": fmt.Sprintf("0x%x", parameters.ExtendedPANID),
		},
		"log_level":        b.settings.Advanced.LogLevel,
		"permit_join":      end.After(time.Now()),
		"restart_required": false,
		"os":               machine(),
		"mqtt":             map[string]any{"version": mqttVersion, "server": b.o.Server},
		"config":           b.configTree(parameters),
		"config_schema":    schemaTree(),
	}
	if end.After(time.Now()) {
		payload["permit_join_end"] = end.UnixMilli()
		b.timers.after("permit join", time.Until(end)+100*time.Millisecond, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.publishInfo()
		})
	}
	b.publish("bridge/info", encode(payload), retained, 0, 0, nil, false)
}

// machine is what bridge/info says of the computer. The names of the keys are those
// that front ends look for.
var machine = sync.OnceValue(func() map[string]any {
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	board := hardware.ReadBoard("/")
	return map[string]any{
		"version":      fmt.Sprintf("%s %s %s", runtime.GOOS, strings.TrimSpace(string(release)), runtime.GOARCH),
		"node_version": runtime.Version(),
		"cpus":         fmt.Sprintf("%s (x%d)", board.Model, runtime.NumCPU()),
		"memory_mb":    hardware.ReadVitals("/").MemoryTotal >> 20,
	}
})

// devicesPayload is bridge/devices.
func (b *Bridge) devicesPayload() []any {
	info, _, _ := b.network.Info()
	list := []any{map[string]any{
		"ieee_address": info.IEEEAddress, "type": "Coordinator", "network_address": 0, "supported": true,
		"friendly_name": coordinatorName, "disabled": false,
		"interviewing": false, "interview_completed": true, "interview_state": zigbee.Successful,
		"endpoints": map[string]any{"1": endpointPayload("", &zigbee.Endpoint{})},
	}}
	for _, d := range b.sortedDevices() {
		list = append(list, b.devicePayload(d))
	}
	return list
}

func supported(d *device) bool { return d.definition != nil && !d.definition.Generated }

func (b *Bridge) devicePayload(d *device) map[string]any {
	endpoints := make(map[string]any, len(d.Endpoints))
	for i := range d.Endpoints {
		e := &d.Endpoints[i]
		endpoints[strconv.Itoa(int(e.ID))] = endpointPayload(d.endpointName(e.ID), e)
	}
	entry := map[string]any{
		"ieee_address": d.ieee, "type": d.Type, "network_address": d.NetworkAddress,
		"supported": supported(d), "friendly_name": d.name(), "disabled": d.disabled(),
		"interviewing":        d.Interview == zigbee.InProgress,
		"interview_completed": d.Interview == zigbee.Successful,
		"interview_state":     d.Interview,
		"endpoints":           endpoints,
	}
	if d.Interview == "" {
		entry["interview_state"] = zigbee.Pending
	}
	description, _ := d.options["description"].(string)
	for key, text := range map[string]string{
		"description": description, "power_source": d.PowerSource, "software_build_id": d.SoftwareBuildID,
		"date_code": d.DateCode, "model_id": d.ModelID, "manufacturer": d.ManufacturerName,
	} {
		if text != "" {
			entry[key] = text
		}
	}
	if d.definition != nil {
		entry["definition"] = definitionPayload(d)
	}
	return entry
}

func endpointPayload(name string, e *zigbee.Endpoint) map[string]any {
	bindings, reportings := []any{}, []any{}
	for _, x := range e.Bindings {
		target := map[string]any{"type": "endpoint", "ieee_address": x.Device, "endpoint": x.Endpoint}
		if x.Device == 0 {
			target = map[string]any{"type": "group", "id": x.Group}
		}
		bindings = append(bindings, map[string]any{"cluster": zcl.ClusterName(x.Cluster), "target": target})
	}
	for _, r := range e.Reportings {
		var attribute any = r.Attribute
		if c := zcl.ClusterByID(r.Cluster); c != nil && c.Attribute(r.Attribute) != nil {
			attribute = c.Attribute(r.Attribute).Name
		}
		reportings = append(reportings, map[string]any{
			"cluster": zcl.ClusterName(r.Cluster), "attribute": attribute,
			"minimum_report_interval": int(r.Min / time.Second), "maximum_report_interval": int(r.Max / time.Second),
			"reportable_change": r.Change,
		})
	}
	scenes := endpointScenes(e)
	if scenes == nil {
		scenes = []Scene{}
	}
	payload := map[string]any{
		"bindings": bindings, "configured_reportings": reportings, "scenes": plain(scenes),
		"clusters": map[string]any{"input": clusterNames(e.Input), "output": clusterNames(e.Output)},
	}
	if name != "" {
		payload["name"] = name
	}
	return payload
}

func clusterNames(ids []uint16) []string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = zcl.ClusterName(id)
	}
	return names
}

func definitionPayload(d *device) map[string]any {
	def := d.definition
	payload := map[string]any{
		"source": sourceOf(def), "model": def.Model, "vendor": def.Vendor, "description": def.Description,
		"exposes": d.exposes, "options": d.choices, "supports_ota": def.OTA, "version": "0.0.0",
	}
	icon, _ := d.options["icon"].(string)
	if icon == "" {
		icon = def.Icon
	}
	if icon != "" {
		icon = strings.ReplaceAll(icon, "$zigbeeModel", imageName(d.ModelID))
		payload["icon"] = strings.ReplaceAll(icon, "$model", imageName(def.Model))
	}
	return payload
}

// sourceOf says where a definition comes from, in zigbee2mqtt's words.
func sourceOf(def *devices.Definition) string {
	switch {
	case def.External:
		return "external"
	case def.Generated:
		return "generated"
	}
	return "native"
}

// imageName is a model as it may stand in an address.
func imageName(model string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("- _./:", r) || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, model)
}

func (b *Bridge) publishDevices() {
	b.timers.cancel("devices")
	b.publishList("bridge/devices", encode(b.devicesPayload()), false)
}

func (b *Bridge) publishDevicesIfChanged() {
	b.publishList("bridge/devices", encode(b.devicesPayload()), true)
}

// publishList publishes something big, if it has changed or that does not matter.
func (b *Bridge) publishList(name string, payload []byte, ifChanged bool) {
	h := fnv.New64a()
	h.Write(payload)
	sum := h.Sum64()
	if ifChanged && b.published[name] == sum {
		return
	}
	b.published[name] = sum
	b.publish(name, payload, retained, 0, 0, nil, false)
}

func (b *Bridge) publishGroups() {
	list := []any{}
	for _, g := range b.sortedGroups() {
		list = append(list, b.groupPayload(g))
	}
	if _, own := b.groups[defaultBindGroup]; !own && b.boundToDefault() {
		list = append(list, b.groupPayload(&group{id: defaultBindGroup, own: map[string]any{"friendly_name": defaultBindGroupName}}))
	}
	b.publish("bridge/groups", encode(list), retained, 0, 0, nil, false)
}

func (b *Bridge) groupPayload(g *group) map[string]any {
	members := []any{}
	for _, m := range b.members(g.id) {
		members = append(members, map[string]any{"ieee_address": m.ieee, "endpoint": m.endpoint})
	}
	scenes := b.groupScenes(g)
	if scenes == nil {
		scenes = []Scene{}
	}
	payload := map[string]any{"id": g.id, "friendly_name": g.name(), "members": members, "scenes": plain(scenes)}
	if description, _ := g.own["description"].(string); description != "" {
		payload["description"] = description
	}
	return payload
}

// boundToDefault says whether something is bound to the default group.
func (b *Bridge) boundToDefault() bool {
	for _, d := range b.devices {
		for i := range d.Endpoints {
			for _, x := range d.Endpoints[i].Bindings {
				if x.Device == 0 && x.Group == defaultBindGroup {
					return true
				}
			}
		}
	}
	return false
}

// publishDefinitions publishes the table of clusters, which is large, when it is
// not what was published last.
func (b *Bridge) publishDefinitions() {
	b.publishList("bridge/definitions", definitionsPayload(), true)
}

var definitionsPayload = sync.OnceValue(func() []byte {
	clusters := make(map[string]any)
	for _, c := range zcl.Clusters() {
		clusters[c.Name] = c
	}
	return encode(plain(map[string]any{"clusters": clusters, "custom_clusters": map[string]any{}, "actions": []any{}}))
})

func round(n float64, places int) float64 {
	scale := math.Pow10(places)
	return math.Round(n*scale) / scale
}
