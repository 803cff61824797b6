package wmbus

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Options of a receiver.
type Options struct {
	// Receiver is what is plugged in: "im871a", "amber" or "cul". Empty: found
	// out. An AMB8465 that is not in command mode has to be named: nothing tells
	// where its telegrams begin.
	Receiver string `toml:"receiver"`
	// Mode is what a CUL listens to, of which it can one: "c" (with T as far as
	// its firmware does both), "t" or "s". Empty: c if it can, else t.
	Mode string `toml:"mode"`
	// Keys are the AES keys of meters, 32 hex digits each, by the eight digits
	// of the meter's number, with or without the maker's three letters before
	// them: "12345678" or "KAM12345678".
	Keys map[string]string `toml:"keys"`
	// Only names the meters that are published, as in Keys. Empty: all that can
	// be read, those of neighbours too.
	Only []string `toml:"only"`
}

// maxNamed bounds how many meters may be named.
const maxNamed = 1000

// Check says in words what is wrong.
func (o Options) Check() error {
	switch o.Receiver {
	case "", "im871a", "amber", "cul":
	default:
		return fmt.Errorf("receiver is %q: it is one of im871a, amber and cul, or left out", o.Receiver)
	}
	switch o.Mode {
	case "", "c", "t", "s":
	default:
		return fmt.Errorf("mode is %q: it is one of c, t and s, or left out", o.Mode)
	}
	if len(o.Keys) > maxNamed || len(o.Only) > maxNamed {
		return fmt.Errorf("more than %d meters are named", maxNamed)
	}
	seen := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(o.Keys)) {
		id, err := meterName(name)
		if err != nil {
			return fmt.Errorf("keys: %w", err)
		}
		if other, twice := seen[id]; twice {
			return fmt.Errorf("keys: %q and %q are the same meter", other, name)
		}
		seen[id] = name
		// The key itself stays out of the message.
		if b, err := hex.DecodeString(digitsOf(o.Keys[name])); err != nil || len(b) != len(key{}) {
			return fmt.Errorf("keys: the key of %q is not 32 hex digits", name)
		}
	}
	for _, name := range o.Only {
		if _, err := meterName(name); err != nil {
			return fmt.Errorf("only: %w", err)
		}
	}
	return nil
}

// digitsOf leaves out what people put between hex digits.
func digitsOf(s string) string {
	return strings.NewReplacer(" ", "", "-", "", ":", "").Replace(s)
}

// meterName returns the number of a meter, in capitals, with the maker's letters
// before it if they are given.
func meterName(s string) (string, error) {
	name := strings.ToUpper(digitsOf(s))
	digits := name
	if len(name) == 11 {
		digits = name[3:]
		if strings.Trim(name[:3], "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			digits = ""
		}
	}
	if len(digits) != 8 || strings.Trim(digits, "0123456789ABCDEF") != "" {
		return "", fmt.Errorf("%q is not the number of a meter: eight digits as on its label, with or without the maker's three letters before them", s)
	}
	return name, nil
}

// keyring finds the keys of meters.
type keyring map[string]key

func (o Options) keyring() keyring {
	ring := make(keyring)
	for name, text := range o.Keys {
		id, err := meterName(name)
		b, errKey := hex.DecodeString(digitsOf(text))
		if err == nil && errKey == nil && len(b) == len(key{}) {
			ring[id] = key(b)
		}
	}
	return ring
}

// of returns the keys for any of the addresses: the meter's own, and that of the
// radio module which sends for it.
func (ring keyring) of(addresses ...address) []key {
	var keys []key
	for _, a := range addresses {
		for _, name := range []string{a.code() + a.serial(), a.serial()} {
			if k, ok := ring[name]; ok && !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	return keys
}

// wanted are the meters that are published; nil: all.
type wanted map[string]bool

func (o Options) wanted() wanted {
	if len(o.Only) == 0 {
		return nil
	}
	w := make(wanted)
	for _, name := range o.Only {
		if id, err := meterName(name); err == nil {
			w[id] = true
		}
	}
	return w
}

func (w wanted) has(a address) bool {
	return w == nil || w[a.serial()] || w[a.code()+a.serial()]
}
