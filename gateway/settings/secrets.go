package settings

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"lintel/gateway/dashboard"
)

// secretKeys are the keys whose values are never shown; of a table all that is in it.
var secretKeys = []string{
	"uplink.password",
	"network.wifi.password",
	"zigbee.network_key",
	"zigbee.token",
	"serial.dsmr.keys",
	"serial.dsmr.authentication_keys",
	"serial.wmbus.keys",
}

// isSecret reports whether what is at a key is not to be shown.
func isSecret(key string) bool { return slices.Contains(secretKeys, indices.ReplaceAllString(key, "")) }

// secretLine is a line, or what was made a comment, that gives a secret.
var secretLine = regexp.MustCompile(`(?m)^(.*\b(?:password|network_key|token|secret)"?\s*=\s*).*$`)

// withoutSecrets returns the text of a configuration file without what is not to be shown. It
// keeps the comments if it can be sure that nothing is left then.
func withoutSecrets(text string) string {
	shown := secretLine.ReplaceAllString(text, `$1"`+dashboard.NotShown+`"`)
	var before, after map[string]any
	if _, err := toml.Decode(text, &before); err != nil {
		return "# This is not the text of a configuration file.\n"
	}
	for _, secret := range secretsIn("", before) {
		shown = strings.ReplaceAll(shown, secret, dashboard.NotShown)
	}
	if _, err := toml.Decode(shown, &after); err == nil && len(secretsIn("", after)) == 0 {
		return shown
	}
	hidden, _ := hideSecrets("", before).(map[string]any)
	return encodeTOML(hidden)
}

// secretsIn lists what of a file is not to be shown.
func secretsIn(key string, value any) (secrets []string) {
	switch v := value.(type) {
	case string:
		if isSecret(key) && v != "" && v != dashboard.NotShown {
			secrets = append(secrets, v)
		}
	case map[string]any:
		for k, e := range v {
			sub := joinKey(key, k)
			if isSecret(key) {
				sub = key // all that is in it
			}
			secrets = append(secrets, secretsIn(sub, e)...)
		}
	case []any:
		for _, e := range v {
			secrets = append(secrets, secretsIn(key, e)...)
		}
	case []map[string]any:
		for _, e := range v {
			secrets = append(secrets, secretsIn(key, e)...)
		}
	}
	return secrets
}

// hideSecrets returns a value without what is not to be shown.
func hideSecrets(key string, value any) any {
	secret := isSecret(key)
	switch v := value.(type) {
	case string:
		if secret && v != "" {
			return dashboard.NotShown
		}
	case map[string]any:
		shown := make(map[string]any, len(v))
		for k, e := range v {
			if shown[k] = hideSecrets(joinKey(key, k), e); secret {
				shown[k] = dashboard.NotShown
			}
		}
		return shown
	case []map[string]any:
		shown := make([]map[string]any, len(v))
		for i, e := range v {
			shown[i], _ = hideSecrets(key, e).(map[string]any)
		}
		return shown
	case []any:
		shown := make([]any, len(v))
		for i, e := range v {
			shown[i] = hideSecrets(key, e)
		}
		return shown
	}
	return value
}

// keepSecrets puts back into value what was not shown, from was. An element of a list is the
// one of the same name, or path, or stick.
func keepSecrets(key string, value, was any) error {
	elements, ok := tables(value)
	if !ok {
		table, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		before, _ := was.(map[string]any)
		secret := isSecret(key)
		for k, v := range table {
			sub := joinKey(key, k)
			if v == dashboard.NotShown && (secret || isSecret(sub)) {
				if before[k] == nil {
					return fmt.Errorf("%s was not there before: say what it is", sub)
				}
				table[k] = before[k]
			} else if err := keepSecrets(sub, v, before[k]); err != nil {
				return err
			}
		}
		return nil
	}
	old, _ := tables(was)
	for i, e := range elements {
		var before map[string]any
		for _, o := range old {
			for _, identity := range []string{"name", "path", "stick"} {
				if id, ok := e[identity].(string); ok && id != "" && id == o[identity] {
					before = o
				}
			}
		}
		if err := keepSecrets(key, e, before); err != nil {
			return fmt.Errorf("element %d: %w", i+1, err)
		}
	}
	return nil
}

// tables are the elements of a list of tables.
func tables(value any) ([]map[string]any, bool) {
	switch v := value.(type) {
	case []map[string]any:
		return v, true
	case []any:
		var all []map[string]any
		for _, e := range v {
			m, ok := e.(map[string]any)
			if !ok {
				return nil, false
			}
			all = append(all, m)
		}
		return all, true
	}
	return nil, false
}
