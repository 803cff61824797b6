package z2m

import (
	"context"
	"fmt"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// reportingTarget finds device, endpoint and cluster of a request about reporting.
func (b *Bridge) reportingTarget(r *request) (ieee zigbee.IEEEAddress, endpoint uint8, c *zcl.Cluster, err error) {
	if r.body["id"] == nil || r.body["endpoint"] == nil || r.body["cluster"] == nil {
		return 0, 0, nil, fmt.Errorf("%w: id, endpoint and cluster are needed", errInvalidPayload)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	d, err := b.deviceOf(r.id())
	if err != nil {
		return 0, 0, nil, err
	}
	e, err := endpointOf(d, r.body["endpoint"])
	if err != nil {
		return 0, 0, nil, err
	}
	c, err = clusterOf(textOf(r.body["cluster"]))
	return d.ieee, e.ID, c, err
}

func (b *Bridge) configureReporting(ctx context.Context, r *request) (map[string]any, error) {
	least, okLeast := zcl.Float(r.body["minimum_report_interval"])
	most, okMost := zcl.Float(r.body["maximum_report_interval"])
	change, okChange := zcl.Float(r.body["reportable_change"])
	given := r.body["reportable_change"] != nil
	if !okLeast || !okMost || given && !okChange || r.body["attribute"] == nil ||
		least < 0 || least > 0xffff || most < 0 || most > 0xffff {
		return nil, fmt.Errorf("%w: attribute, and intervals from 0 to 65535 seconds are needed", errInvalidPayload)
	}
	ieee, endpoint, cluster, err := b.reportingTarget(r)
	if err != nil {
		return nil, err
	}
	id, kind, err := attributeOf(cluster, numbers(r.body["attribute"]))
	if err != nil {
		return nil, err
	}
	if kind == zcl.NoData {
		return nil, fmt.Errorf("the type of the attribute is not known: give {\"ID\":%d,\"type\":…}", id)
	}
	options, _ := object(r.body["options"])
	code, _ := zcl.Float(options["manufacturerCode"])
	info, _, _ := b.network.Info()
	err = b.network.Bind(ctx, ieee, endpoint, zigbee.Binding{Cluster: cluster.ID, Device: info.IEEEAddress, Endpoint: zigbee.EndpointHome})
	if err == nil {
		err = b.network.ConfigureReporting(ctx, ieee, endpoint, zigbee.Reporting{
			Cluster: cluster.ID, ManufacturerCode: uint16(code), Attribute: id, Type: uint8(kind),
			Min: time.Duration(least) * time.Second, Max: time.Duration(most) * time.Second, Change: change,
		})
	}
	if err != nil {
		return nil, err
	}
	b.refresh(ieee)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.publishDevices()
	data := make(map[string]any)
	for _, key := range []string{"id", "endpoint", "cluster", "attribute", "minimum_report_interval", "maximum_report_interval", "reportable_change"} {
		if v, ok := r.body[key]; ok {
			data[key] = v
		}
	}
	return data, nil
}

func (b *Bridge) readReporting(ctx context.Context, r *request) (map[string]any, error) {
	configs, ok := r.body["configs"].([]any)
	if !ok || len(configs) == 0 || len(configs) > 64 {
		return nil, fmt.Errorf("%w: configs is a list of attributes", errInvalidPayload)
	}
	ieee, endpoint, cluster, err := b.reportingTarget(r)
	if err != nil {
		return nil, err
	}
	var ids []uint16
	for _, config := range configs {
		o, _ := object(config)
		id, _, err := attributeOf(cluster, numbers(o["attribute"]))
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	code, given := zcl.Float(r.body["manufacturer_code"])
	records, err := b.network.ReadReporting(ctx, ieee, endpoint, cluster.ID, uint16(code), ids...)
	if err != nil {
		return nil, err
	}
	list := []any{}
	for _, x := range records {
		o := map[string]any{"status": uint8(x.Status), "direction": x.Direction, "attrId": x.Attribute}
		if x.Status == zcl.Success && x.Direction == 0 {
			o["dataType"], o["minRepIntval"], o["maxRepIntval"] = x.Type, int(x.Min/time.Second), int(x.Max/time.Second)
			if x.Change != nil {
				o["repChange"] = x.Change
			}
		}
		list = append(list, o)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.publishDevices()
	data := map[string]any{"id": r.body["id"], "endpoint": r.body["endpoint"], "cluster": r.body["cluster"], "configs": list}
	if given && code != 0 {
		data["manufacturer_code"] = r.body["manufacturer_code"]
	}
	return data, nil
}
