package settings

import (
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"lintel/gateway/dashboard"
)

// settingField is a key of the configuration that can be changed by itself.
type settingField struct {
	key  string
	kind dashboard.SettingKind
	t    reflect.Type
}

// settingFields are all keys, in the order of [Config].
var settingFields = fieldsOf(reflect.TypeFor[Config](), "")

func fieldsOf(t reflect.Type, key string) (fields []settingField) {
	for f := range t.Fields() {
		sub := joinKey(key, f.Tag.Get("toml"))
		if kind := kindOfSetting(sub, f.Type); kind != "" {
			fields = append(fields, settingField{sub, kind, f.Type})
		} else {
			fields = append(fields, fieldsOf(f.Type, sub)...)
		}
	}
	return fields
}

// settingChoices are the values of keys that have but a few.
var settingChoices = map[string][]string{
	"mqtt.queue_full":                        {"drop-newest", "drop-oldest", "refuse"},
	"mqtt.client_certificates.tls":           {"off", "request", "require"},
	"mqtt.client_certificates.websocket_tls": {"off", "request", "require"},
	"mqtt.client_certificates.name":          {"cn", "dns", "email", "uri"},
	"http.metrics":                           {"token", "network"},
	"serial.wmbus.receiver":                  {"", "im871a", "amber", "cul"},
	"serial.wmbus.mode":                      {"", "c", "t", "s"},
	"update.channel":                         {"stable", "beta"},
	"log.level":                              {"debug", "info", "warn", "error"},
}

// kindOfSetting says how a key is changed; empty: it is a table of keys.
func kindOfSetting(key string, t reflect.Type) dashboard.SettingKind {
	if settingChoices[key] != nil {
		return dashboard.ChoiceSetting
	}
	if t.Kind() == reflect.String && isSecret(key) {
		return dashboard.SecretSetting
	}
	if t == reflect.TypeFor[time.Duration]() || t == reflect.TypeFor[slog.Level]() || reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return dashboard.TextSetting
	}
	switch t.Kind() {
	case reflect.Bool:
		return dashboard.SwitchSetting
	case reflect.String:
		return dashboard.TextSetting
	case reflect.Float64:
		return dashboard.FloatSetting
	case reflect.Struct:
		return ""
	case reflect.Map:
		return dashboard.TOMLSetting
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return dashboard.TOMLSetting
		}
		return dashboard.ListSetting
	}
	return dashboard.NumberSetting
}

// show returns a key as the pages show it.
func (f settingField) show(value, usual any) dashboard.Setting {
	s := dashboard.Setting{Key: f.key, Kind: f.kind, About: settingDocs[f.key], Choices: settingChoices[f.key], Default: orEmpty(f, usual),
		Changed: !reflect.DeepEqual(orEmpty(f, value), orEmpty(f, usual))}
	if f.kind == dashboard.ChoiceSetting { // slog.Level says INFO
		value, s.Default = strings.ToLower(fmt.Sprint(value)), strings.ToLower(fmt.Sprint(usual))
	}
	value = hideSecrets(f.key, orEmpty(f, value))
	if f.kind == dashboard.TOMLSetting {
		value = sparse(value, f.t)
	}
	s.Value = value
	s.Text, s.Usual = f.text(value), f.text(s.Default)
	if f.kind == dashboard.SecretSetting {
		s.Text, s.Usual, s.Default = "", "", nil
		if value == "" {
			s.Value = nil
		}
	}
	return s
}

// orEmpty makes a list or table of nothing where there is none.
func orEmpty(f settingField, value any) any {
	if value != nil {
		return value
	}
	switch f.t.Kind() {
	case reflect.Map:
		return map[string]any{}
	case reflect.Slice:
		return []any{}
	}
	return value
}

// text is a value as it stands in a form.
func (f settingField) text(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case map[string]any:
		return encodeTOML(v)
	case []map[string]any:
		if len(v) == 0 {
			return ""
		}
		at := make(map[string]any)
		setAt(at, f.key, v)
		return encodeTOML(at)
	case []any:
		if f.kind == dashboard.TOMLSetting {
			return ""
		}
		lines := make([]string, len(v))
		for i, e := range v {
			lines[i] = fmt.Sprint(e)
		}
		return strings.Join(lines, "\n")
	}
	return fmt.Sprint(value)
}

// take makes what somebody has sent what may stand in the tree of a file. was is what is there;
// types are checked later.
func (f settingField) take(value, was any) (any, error) {
	text, isText := value.(string)
	switch {
	case f.kind == dashboard.TOMLSetting && isText:
		var table map[string]any
		if _, err := toml.Decode(text, &table); err != nil {
			if pe, ok := errors.AsType[toml.ParseError](err); ok {
				return nil, fmt.Errorf("line %d: %s", pe.Position.Line, pe.Message)
			}
			return nil, err
		}
		if f.t.Kind() == reflect.Map {
			value = table
			break
		}
		value = lookUp(table, f.key)
		first := topOf(f.key)
		if len(table) > 1 || len(table) == 1 && table[first] == nil || len(table) == 1 && value == nil {
			return nil, fmt.Errorf("has something else than [[%s]] and what is below it", f.key)
		}
		if value == nil {
			return []any{}, nil
		}
	case f.kind == dashboard.SecretSetting && isText && text == dashboard.NotShown:
		return was, nil
	}
	value = wholeNumbers(value)
	if err := keepSecrets(f.key, value, was); err != nil {
		return nil, err
	}
	return value, nil
}

// wholeNumbers makes whole what is a whole number: JSON does not tell them from others.
func wholeNumbers(value any) any {
	switch v := value.(type) {
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v)
		}
	case int:
		return int64(v)
	case []any:
		for i := range v {
			v[i] = wholeNumbers(v[i])
		}
	case []string:
		all := make([]any, len(v))
		for i := range v {
			all[i] = v[i]
		}
		return all
	case map[string]any:
		for k := range v {
			v[k] = wholeNumbers(v[k])
		}
	case []map[string]any:
		for _, m := range v {
			wholeNumbers(m)
		}
	}
	return value
}

// sparse leaves out of the tables in lists what is as if it were not there.
func sparse(value any, t reflect.Type) any {
	if t.Kind() == reflect.Pointer {
		return value // it counts that it is there
	}
	switch v := value.(type) {
	case map[string]any:
		if t.Kind() != reflect.Struct {
			return v
		}
		rest := make(map[string]any)
		for f := range t.Fields() {
			name := f.Tag.Get("toml")
			e, ok := v[name]
			if !ok {
				continue
			}
			e = sparse(e, f.Type)
			if f.Type.Kind() != reflect.Pointer && isNothing(e) {
				continue
			}
			rest[name] = e
		}
		return rest
	case []map[string]any:
		rest := make([]map[string]any, len(v))
		for i, e := range v {
			rest[i], _ = sparse(e, t.Elem()).(map[string]any)
		}
		return rest
	}
	return value
}

// isNothing reports whether a value is the zero value of its type.
func isNothing(value any) bool {
	switch v := value.(type) {
	case string:
		return v == "" || v == "0s"
	case bool:
		return !v
	case int64:
		return v == 0
	case float64:
		return v == 0
	case map[string]any:
		return len(v) == 0
	case []map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return value == nil
}
