package dashboard

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"lintel/gateway/access"
	"lintel/gateway/mqtt"
	"lintel/serialbridge"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/z2m"
)

const (
	maxSet = 16 << 10 // bytes of a command

	// confirmTime is how long a device is waited for after a command, and confirmLook how
	// often it is looked whether it has answered.
	confirmTime = 3 * time.Second
	confirmLook = 50 * time.Millisecond

	maxDeviceName = 64 // characters
)

// commanded is what came of a command.
type commanded struct {
	Key       string `json:"key"`
	Value     any    `json:"value"`     // what the device says now; null: nothing
	Confirmed bool   `json:"confirmed"` // that is what was wanted; false: the command was sent, and there is no answer yet
}

// target is a property that is to be set.
type target struct {
	id       string
	ieee     zigbee.IEEEAddress // 0: the device is behind a serial stick
	topic    string
	name     string // of the device
	property propertyView
}

// findTarget finds a property that can be set.
func (s *Server) findTarget(id, key string) (*target, error) {
	row, properties, err := s.findDevice(id)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(properties, func(v propertyView) bool { return v.Key == key })
	switch {
	case i < 0:
		return nil, wrong("key", "The device has no property %.64q: GET /api/devices/%s lists them.", key, row.ID)
	case properties[i].Control == "":
		return nil, wrong("key", "%.64q can be read, not set.", key)
	}
	t := &target{id: id, name: row.Name, property: properties[i], topic: s.o.BaseTopic + "/" + id + "/set"}
	if row.Bridge == zigbeeBridge {
		shown, err := s.shown(id)
		if err != nil {
			return nil, err
		}
		t.ieee, t.topic = shown.IEEEAddress, shown.Topic+"/set"
	}
	return t, nil
}

// shown returns a device of the Zigbee network by its id.
func (s *Server) shown(id string) (z2m.Shown, error) {
	ieee, err := zigbee.ParseIEEEAddress(id)
	if err != nil {
		return z2m.Shown{}, err
	}
	return s.o.ZigbeeNetwork.Shown(ieee)
}

// payload is the message for the set topic.
func (t *target) payload(value any) ([]byte, error) {
	if f, ok := numberOf(value); ok && t.property.Control == numberControl {
		p := &t.property
		if p.Min != nil && f < *p.Min || p.Max != nil && f > *p.Max {
			return nil, wrong("value", "%s is %s to %s.", p.Name, figureOr(p.Min), figureOr(p.Max))
		}
	}
	message := map[string]any{t.property.Key: value}
	if key, member, ok := strings.Cut(t.property.Key, "."); ok && t.ieee == 0 {
		message = map[string]any{key: map[string]any{member: value}}
	}
	return json.Marshal(message)
}

func figureOr(f *float64) string {
	if f == nil {
		return "…"
	}
	return strconv.FormatFloat(*f, 'f', -1, 64)
}

// mayPublish says why somebody may not publish to a topic, nil if they may. A token has no
// roles: its level is its right.
func (s *Server) mayPublish(r *request, topic string) error {
	if _, token := strings.CutPrefix(r.user, "token "); token {
		return nil
	}
	verdict, err := s.o.Explain(r.user, "", access.Publish, topic)
	if err != nil {
		return err
	}
	if !verdict.Allow {
		return problemf(http.StatusForbidden, "", "%s may not publish to %s: %s. An admin can change that on the page of the users.", r.user, topic, verdict.Why)
	}
	return nil
}

// command sends a value to a device, on the topic on which all others do, and waits a little
// for what it says to that.
func (s *Server) command(r *request, t *target, value any) (commanded, error) {
	payload, err := t.payload(value)
	if err != nil {
		return commanded{}, err
	}
	if err := s.mayPublish(r, t.topic); err != nil {
		return commanded{}, err
	}
	if t.ieee == 0 {
		if err := s.o.DeviceBook.Check(t.id, payload); err != nil {
			return commanded{}, problemf(http.StatusConflict, "value", "The device does not take that: %v.", err)
		}
	} else if !s.o.ZigbeeNetwork.Overview().Running {
		return commanded{}, zigbee.ErrNoStick
	}
	ctx, cancel := context.WithTimeout(r.Context(), confirmTime)
	defer cancel()
	sent := time.Now()
	before, _ := s.valueOf(t, sent)
	if err := s.o.Broker.Publish(ctx, mqtt.Message{Topic: t.topic, Payload: payload, QoS: 1}); err != nil {
		return commanded{}, err
	}
	s.note(r, "device-set", "", ": %s of %s", t.property.Key, t.name)
	answer := commanded{Key: t.property.Key, Value: before}
	if t.property.Control == buttonControl {
		return answer, nil // it has no state
	}
	look := time.NewTicker(confirmLook)
	defer look.Stop()
	for {
		now, failure := s.valueOf(t, sent)
		if failure != "" {
			return answer, problemf(http.StatusBadGateway, "", "%s did not do it: %s.", t.name, failure)
		}
		answer.Value = now
		answer.Confirmed = now != nil && (sameValue(now, value) || !sameJSON(now, before))
		if answer.Confirmed {
			return answer, nil
		}
		select {
		case <-ctx.Done():
			return answer, nil
		case <-look.C:
		}
	}
}

// valueOf returns what a device says of a property now, and why a command since then was in
// vain.
func (s *Server) valueOf(t *target, since time.Time) (value any, failure string) {
	if t.ieee == 0 {
		values := s.values.get(t.id).values
		if key, member, ok := strings.Cut(t.property.Key, "."); ok {
			object, _ := values[key].(map[string]any)
			return object[member], ""
		}
		return values[t.property.Key], ""
	}
	shown, err := s.o.ZigbeeNetwork.Shown(t.ieee)
	if err != nil {
		return nil, err.Error()
	}
	if shown.Failure.At.After(since) && shown.Failure.Key == t.property.Key {
		failure = shown.Failure.Reason
	}
	return shown.State[t.property.Key], failure
}

func sameJSON(x, y any) bool {
	a, errA := json.Marshal(x)
	b, errB := json.Marshal(y)
	return errA == nil && errB == nil && string(a) == string(b)
}

// colors are written as in CSS.
var colors = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// parseValue makes a value for a property of the text in a form, or of a color in a call.
func (t *target) parseValue(text string) (any, error) {
	p := &t.property
	switch p.Control {
	case switchControl:
		switch text {
		case "on":
			return cmp.Or(p.On, any(true)), nil
		case "off":
			return cmp.Or(p.Off, any(false)), nil
		}
		return nil, wrong("value", "A switch is on or off.")
	case buttonControl:
		return true, nil
	case numberControl:
		f, err := strconv.ParseFloat(strings.Replace(strings.TrimSpace(text), ",", ".", 1), 64)
		if err != nil || f-f != 0 {
			return nil, wrong("value", "%s is a number.", p.Name)
		}
		return f, nil
	case colorControl:
		if !colors.MatchString(text) {
			return nil, wrong("value", "A color is written as #rrggbb.")
		}
		if t.ieee != 0 {
			return map[string]any{"hex": text}, nil
		}
		rgb, err := hex.DecodeString(text[1:])
		if err != nil {
			return nil, err
		}
		return map[string]any{"r": float64(rgb[0]), "g": float64(rgb[1]), "b": float64(rgb[2])}, nil
	case jsonControl:
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			return nil, wrong("value", "This is not the JSON that is expected here: %v.", err)
		}
		return value, nil
	case choiceControl, wordsControl:
		if !slices.Contains(p.Options, text) {
			return nil, wrong("value", "%s is one of %s.", p.Name, strings.Join(p.Options, ", "))
		}
	}
	if !utf8.ValidString(text) {
		return nil, wrong("value", "This is not a text.")
	}
	return text, nil
}

type setRequest struct {
	Key   *string `json:"key" api:"required"`
	Value any     `json:"value" api:"required"`
}

func (s *Server) setCall(r *request, in setRequest) (commanded, error) {
	if in.Key == nil || in.Value == nil {
		return commanded{}, wrong("key", `Say what is to be set: {"key": "state", "value": "ON"}.`)
	}
	t, err := s.findTarget(r.PathValue("id"), *in.Key)
	if err != nil {
		return commanded{}, err
	}
	if text, ok := in.Value.(string); ok && t.property.Control == colorControl {
		if in.Value, err = t.parseValue(text); err != nil {
			return commanded{}, err
		}
	}
	return s.command(r, t, in.Value)
}

// deviceChange is what a person calls a device, and its icon; nil: as it is.
type deviceChange struct {
	Name *string `json:"name"`
	Icon *string `json:"icon"` // mdi:NAME; empty: none of its own
}

// icons are names of Material Design's icons, as Home Assistant writes them.
var icons = regexp.MustCompile(`^mdi:[a-z0-9]+(-[a-z0-9]+)*$`)

// changeDevice gives a device another name or icon.
func (s *Server) changeDevice(r *request, id string, c deviceChange) error {
	row, _, err := s.findDevice(id)
	if err != nil {
		return err
	}
	if c.Name != nil {
		name := strings.TrimSpace(*c.Name)
		c.Name = &name
		if utf8.RuneCountInString(name) > maxDeviceName || !utf8.ValidString(name) || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			return wrong("name", "A name has at most %d characters, all on one line.", maxDeviceName)
		}
	}
	if c.Icon != nil && *c.Icon != "" && (!icons.MatchString(*c.Icon) || len(*c.Icon) > 64) {
		return wrong("icon", "An icon is written as mdi:sofa: pictogrammers.com/library/mdi shows them all.")
	}
	ctx, cancel := lasting(r)
	defer cancel()
	rename, setIcon := s.o.DeviceBook.Rename, s.o.DeviceBook.SetIcon
	if row.Bridge == zigbeeBridge {
		shown, err := s.shown(id)
		if err != nil {
			return err
		}
		ask := func(ctx context.Context, name string, body map[string]any) error {
			_, err := s.o.ZigbeeNetwork.Bridge().Do(ctx, r.user, name, body)
			return err
		}
		rename = func(ctx context.Context, _, name string) error {
			return ask(ctx, "device/rename", map[string]any{"from": shown.IEEEAddress.String(), "to": cmp.Or(name, id)})
		}
		setIcon = func(ctx context.Context, _, icon string) error {
			override := map[string]any{"icon": icon} // see the option homeassistant of a device
			if icon == "" {
				override["icon"] = nil
			}
			return ask(ctx, "device/options", map[string]any{"id": shown.IEEEAddress.String(), "options": map[string]any{"homeassistant": override}})
		}
	}
	if c.Name != nil && *c.Name != row.Name {
		if err := rename(ctx, id, *c.Name); err != nil {
			return asked("name", err)
		}
		s.note(r, "device-rename", "", ": %s is called %s", row.Name, *c.Name)
	}
	if c.Icon != nil && *c.Icon != row.Icon {
		if err := setIcon(ctx, id, *c.Icon); err != nil {
			return asked("icon", err)
		}
	}
	return nil
}

// asked makes a problem of a refused request of a device.
func asked(field string, err error) error {
	if errors.Is(err, zigbee.ErrNoStick) {
		return err
	}
	if refused, ok := errors.AsType[*z2m.RequestError](err); ok {
		return problemf(http.StatusConflict, field, "%s", sentence(refused))
	}
	return err
}

func (s *Server) changeDeviceCall(r *request, change deviceChange) (deviceAnswer, error) {
	if err := s.changeDevice(r, r.PathValue("id"), change); err != nil {
		return deviceAnswer{}, err
	}
	return s.deviceCall(r)
}

// removeDevice takes a device away. One of the Zigbee network is sent away; with force it is
// forgotten though it does not answer.
func (s *Server) removeDevice(r *request, id string, force bool) error {
	row, properties, err := s.findDevice(id)
	if err != nil {
		return err
	}
	ctx, cancel := lasting(r)
	defer cancel()
	if row.Bridge == zigbeeBridge {
		var shown z2m.Shown
		if shown, err = s.shown(id); err == nil {
			_, err = s.o.ZigbeeNetwork.Bridge().Do(ctx, r.user, "device/remove", map[string]any{"id": shown.IEEEAddress.String(), "force": force})
			err = asked("", err)
		}
	} else if forget := serialbridge.ForgetButton().Key; slices.ContainsFunc(properties, func(v propertyView) bool {
		return v.Key == forget && v.Control == buttonControl
	}) && s.o.DeviceBook.Check(id, []byte(`{"`+forget+`":true}`)) == nil {
		// Its driver remembers it, and is told so.
		err = s.o.Broker.Publish(ctx, mqtt.Message{Topic: s.o.BaseTopic + "/" + id + "/set", Payload: []byte(`{"` + forget + `":true}`), QoS: 1})
	} else if err = s.o.DeviceBook.Remove(ctx, id); err != nil {
		if unknown, ok := errors.AsType[*serialbridge.UnknownDeviceError](err); ok {
			return problemf(http.StatusNotFound, "", "%s", sentence(unknown))
		}
		return problemf(http.StatusConflict, "", "The device cannot be removed now: %v.", err)
	}
	if err == nil {
		s.note(r, "device-remove", "", ": %s (%s)", row.Name, id)
	}
	return err
}

func (s *Server) removeDeviceCall(r *request) error {
	return s.removeDevice(r, r.PathValue("id"), r.URL.Query().Get("force") == "true")
}
