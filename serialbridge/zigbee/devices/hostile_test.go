package devices

import (
	"encoding/json"
	"math"
	"testing"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// TestWrongNumbers has devices tell numbers that an attribute cannot have, in types that it
// does not have: what is told must be what JSON can write.
func TestWrongNumbers(t *testing.T) {
	device := everything()
	generated := Generate(device)
	all := &Definition{Exposes: generated.Exposes, Clusters: generated.Clusters, Endpoints: generated.Endpoints, traits: traits()}
	numbers := []any{
		int64(-1), int64(math.MinInt64), uint64(math.MaxUint64), -0.5, 1e300, math.NaN(), math.Inf(1), math.Inf(-1), true, "9", []byte{9},
		zcl.List{Type: zcl.Double, Items: []any{math.NaN()}}, zcl.Struct{{Type: zcl.Double, Value: math.Inf(1)}},
	}
	for _, d := range []*Definition{generated, all} {
		for _, cluster := range zcl.Clusters() {
			for _, a := range cluster.Attributes {
				for _, n := range numbers {
					m := zigbee.Message{Endpoint: 1, Cluster: cluster.ID, Frame: zcl.Frame{Command: zcl.ReportAttributes, ServerToClient: true},
						Attributes: []zcl.Attribute{{ID: a.ID, Value: n}}}
					values, _ := d.Decode(&Context{Device: device, Memory: make(map[string]any)}, m)
					if _, err := json.Marshal(values); err != nil {
						t.Errorf("%s %s is %v: %v", cluster.Name, a.Name, n, err)
					}
				}
			}
		}
	}
}
