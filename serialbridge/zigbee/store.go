package zigbee

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// keepEvery is how often values that a power cut may take are written down: when a
// device was seen last, how well, and what its attributes are. What a
// network of 150 devices tells in this time is one write for each of them.
const keepEvery = 15 * time.Minute

// load reads what the store and the memory hold.
func (n *Network) load() error {
	for key, d := range n.options.Store.All() {
		if d.IEEEAddress == 0 || d.IEEEAddress.String() != key || len(n.nodes) >= maxDevices {
			n.log.Warn("a device in the store is left out", "key", key)
			continue
		}
		if d.Interview == InProgress { // the program ended in the middle of it
			d.Interview = Pending
		}
		n.nodes[d.IEEEAddress] = newNode(d)
		if d.NetworkAddress != UnknownAddress && d.Type != GreenPower {
			n.addresses[d.NetworkAddress] = d.IEEEAddress
		}
	}
	return n.remember()
}

// dirty has a device written down at once. The network is locked.
func (n *Network) dirty(d *node) {
	d.kept = keptNow
	signal(n.changed)
}

// keepStore writes down what has changed.
func (n *Network) keepStore(ctx context.Context) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		from := keptNow
		select {
		case <-n.changed:
		case <-tick.C:
			from = keptLater
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			n.writeDown(last, keptLater)
			cancel()
			return
		}
		if !n.writeDown(ctx, from) {
			// What failed is tried again at the next change or tick.
			n.log.Error("the Zigbee devices cannot be written down")
		}
	}
}

// writeDown writes devices whose change is at least so urgent.
func (n *Network) writeDown(ctx context.Context, from keptState) bool {
	n.mu.Lock()
	var devices []Device
	for _, d := range n.nodes {
		if d.kept >= from {
			devices = append(devices, d.device)
			d.kept = keptClean
		}
	}
	var deleted []IEEEAddress
	for ieee := range n.forgotten {
		deleted = append(deleted, ieee)
		delete(n.forgotten, ieee)
	}
	n.mu.Unlock()

	ok := true
	for _, ieee := range deleted {
		if err := n.options.Store.Delete(ctx, ieee.String()); err != nil {
			ok = false
			n.mu.Lock()
			n.counters.StoreErrors++
			if n.nodes[ieee] == nil {
				n.forgotten[ieee] = true
			}
			n.mu.Unlock()
		}
	}
	for _, device := range devices {
		err := n.options.Store.Put(ctx, device.IEEEAddress.String(), device)
		n.mu.Lock()
		n.counters.StoreWrites++
		if err != nil {
			ok = false
			n.counters.StoreErrors++
			if d := n.nodes[device.IEEEAddress]; d != nil {
				d.kept = max(d.kept, keptLater)
			}
		}
		n.mu.Unlock()
	}
	return ok
}

// MarshalJSON writes values so that UnmarshalJSON finds the same types: uint64 as a
// number, the others that are no truth values as a text that begins with a letter. Lists
// and structures are left out: devices tell them again, and nothing is
// computed from old ones.
func (a Attributes) MarshalJSON() ([]byte, error) {
	texts := make(map[uint16]map[uint16]any, len(a))
	for cluster, values := range a {
		kept := make(map[uint16]any, len(values))
		for attribute, value := range values {
			switch v := value.(type) {
			case uint64, bool:
				kept[attribute] = v
			case int64:
				kept[attribute] = "i" + strconv.FormatInt(v, 10)
			case float64:
				kept[attribute] = "f" + strconv.FormatFloat(v, 'g', -1, 64)
			case string:
				kept[attribute] = "s" + strings.ToValidUTF8(v, "")
			case []byte:
				kept[attribute] = "x" + hex.EncodeToString(v)
			}
		}
		texts[cluster] = kept
	}
	return json.Marshal(texts)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (a *Attributes) UnmarshalJSON(data []byte) error {
	var texts map[uint16]map[uint16]json.RawMessage
	if err := json.Unmarshal(data, &texts); err != nil {
		return fmt.Errorf("zigbee: attributes: %w", err)
	}
	*a = make(Attributes, len(texts))
	for cluster, values := range texts {
		kept := make(map[uint16]any, len(values))
		for attribute, raw := range values {
			if v, ok := storedValue(raw); ok {
				kept[attribute] = v
			}
		}
		(*a)[cluster] = kept
	}
	return nil
}

func storedValue(raw json.RawMessage) (value any, ok bool) {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		if u, err := strconv.ParseUint(string(raw), 10, 64); err == nil {
			return u, true
		}
		b, err := strconv.ParseBool(string(raw))
		return b, err == nil
	}
	if text == "" {
		return nil, false
	}
	var err error
	switch rest := text[1:]; text[0] {
	case 'i':
		value, err = strconv.ParseInt(rest, 10, 64)
	case 'f':
		value, err = strconv.ParseFloat(rest, 64)
	case 's':
		value = rest
	case 'x':
		value, err = hex.DecodeString(rest)
	default:
		return nil, false
	}
	return value, err == nil
}
