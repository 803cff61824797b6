package z2m

import (
	"errors"
	"fmt"
	"strconv"

	"lintel/serialbridge/zigbee/zcl"
)

var errNoCluster = errors.New("no such cluster: give the name that bridge/definitions has, or its number")

// clusterOf finds a cluster by name or number. It returns one without names if the
// number is not in the table.
func clusterOf(v any) (*zcl.Cluster, error) {
	if name, ok := v.(string); ok {
		if c := zcl.ClusterByName(name); c != nil {
			return c, nil
		}
		v, _ = strconv.ParseUint(name, 0, 16)
		if v == uint64(0) && name != "0" {
			return nil, errNoCluster
		}
	}
	n, ok := zcl.Float(v)
	if !ok || n < 0 || n > 0xffff || n != float64(uint16(n)) {
		return nil, errNoCluster
	}
	if c := zcl.ClusterByID(uint16(n)); c != nil {
		return c, nil
	}
	return &zcl.Cluster{ID: uint16(n), Name: strconv.Itoa(int(n))}, nil
}

// attributeOf finds an attribute by name, number, or {ID, type}. The type is
// zcl.NoData if it is not known.
func attributeOf(c *zcl.Cluster, v any) (id uint16, kind zcl.Type, err error) {
	wrong := fmt.Errorf("%s has no attribute %v: give the name that bridge/definitions has, its number, or {\"ID\":…,\"type\":…}", c.Name, v)
	if o, ok := object(v); ok {
		n, okID := zcl.Float(o["ID"])
		t, okType := zcl.Float(o["type"])
		if !okID || !okType || n < 0 || n > 0xffff || t < 0 || t > 0xff {
			return 0, 0, wrong
		}
		return uint16(n), zcl.Type(t), nil
	}
	if name, ok := v.(string); ok {
		if a := c.AttributeByName(name); a != nil {
			return a.ID, a.Type, nil
		}
		n, err := strconv.ParseUint(name, 0, 16)
		if err != nil {
			return 0, 0, wrong
		}
		v = n
	}
	n, ok := zcl.Float(v)
	if !ok || n < 0 || n > 0xffff {
		return 0, 0, wrong
	}
	if a := c.Attribute(uint16(n)); a != nil {
		return a.ID, a.Type, nil
	}
	return uint16(n), zcl.NoData, nil
}
