package devices

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// Attributes and commands of the Door Lock cluster (section 7.3).
const (
	attrLockState   = 0x0000
	attrDoorState   = 0x0003
	attrPinUsers    = 0x0012
	attrAutoRelock  = 0x0023
	attrSoundVolume = 0x0024

	cmdSetPin          = 0x05
	cmdGetPin          = 0x06
	cmdClearPin        = 0x07
	cmdSetUserStatus   = 0x09
	cmdGetUserStatus   = 0x0a
	respOperationEvent = 0x20
	respProgramEvent   = 0x21
)

// The quirk pinCodeCount says how many users a lock has room for.
var (
	lock = &Trait{
		Name: "lock", Exposes: []string{"lock", "door_state", "auto_relock_time", "sound_volume"}, Clusters: []uint16{clusterDoorLock},
		Generate: generateLock, Shared: true,
		Decode: decodeLock,
	}
	lockState = &Trait{
		Name: "lock_state", Exposes: []string{"lock"}, Clusters: lock.Clusters,
		Keys: []string{"state"}, Set: setLock, Get: reads(clusterDoorLock, attrLockState),
		Configure: configureLock,
	}
	lockEvents = &Trait{
		Name: "lock_events", Exposes: []string{"action", "lock"}, Clusters: lock.Clusters, Decode: decodeLockEvent,
	}
	pinCode = &Trait{
		Name: "pin_code", Exposes: []string{"pin_code", "lock"}, Clusters: lock.Clusters,
		Decode: decodeLockUsers,
		Keys:   []string{"pin_code"}, Set: setPinCode, Get: lockUsers("pin_code", cmdGetPin),
	}
	lockUserStatus = &Trait{
		Name: "user_status", Exposes: []string{"lock"}, Clusters: lock.Clusters,
		Keys: []string{"user_status"}, Set: setUserStatus, Get: lockUsers("user_status", cmdGetUserStatus),
	}
	autoRelock = &Trait{
		Name: "auto_relock_time", Exposes: []string{"auto_relock_time"}, Clusters: lock.Clusters,
		Keys: []string{"auto_relock_time"}, Set: setAutoRelock, Get: reads(clusterDoorLock, attrAutoRelock),
	}
	soundVolume = &Trait{
		Name: "sound_volume", Exposes: []string{"sound_volume"}, Clusters: lock.Clusters,
		Keys: []string{"sound_volume"}, Set: setSoundVolume, Get: reads(clusterDoorLock, attrSoundVolume),
	}
)

var (
	lockStates   = []string{"not_fully_locked", "locked", "unlocked"}
	soundVolumes = []string{"silent_mode", "low_volume", "high_volume"}
	doorStates   = map[float64]string{
		0: "open", 1: "closed", 2: "error_jammed", 3: "error_forced_open", 4: "error_unspecified", 255: "undefined",
	}
	lockSources    = []string{"keypad", "rf", "manual", "rfid", "fingerprint"}
	lockOperations = []string{
		"unknown", "lock", "unlock", "lock_failure_invalid_pin_or_id", "lock_failure_invalid_schedule",
		"unlock_failure_invalid_pin_or_id", "unlock_failure_invalid_schedule", "one_touch_lock", "key_lock", "key_unlock",
		"auto_lock", "schedule_lock", "schedule_unlock", "manual_lock", "manual_unlock", "non_access_user_operational_event",
	}
	lockProgrammings = []string{
		"unknown", "master_code_changed", "pin_code_added", "pin_code_deleted", "pin_code_changed", "rfid_code_added", "rfid_code_deleted",
	}
	userStatuses = map[uint8]string{0: "available", 1: "enabled", 3: "disabled"}
	userTypes    = map[string]uint8{
		"unrestricted": 0, "year_day_schedule": 1, "week_day_schedule": 2, "master": 3, "non_access": 4,
	}
)

func decodeLock(c *Context, m zigbee.Message) Values {
	values := make(Values)
	if state, ok := standardNumber(m, attrLockState); ok {
		values["state"] = "UNLOCK"
		if state == 1 {
			values["state"] = "LOCK"
		}
		if word, ok := wordAt(lockStates, state); ok {
			values["lock_state"] = word
		}
	}
	if v, ok := standardNumber(m, attrAutoRelock); ok {
		values["auto_relock_time"] = v
	}
	if v, ok := standardNumber(m, attrSoundVolume); ok {
		if word, ok := wordAt(soundVolumes, v); ok {
			values["sound_volume"] = word
		}
	}
	if v, ok := standardNumber(m, attrDoorState); ok {
		if word, ok := doorStates[v]; ok {
			values["door_state"] = word
		}
	}
	return values
}

// response says that a message is that command of a server, with so many bytes at least.
func response(m zigbee.Message, id uint8, length int) bool {
	f := m.Frame
	return f.Type == zcl.Specific && f.ServerToClient && f.ManufacturerCode == 0 && f.Command == id && len(f.Payload) >= length
}

func decodeLockEvent(c *Context, m zigbee.Message) Values {
	words := lockOperations
	switch {
	case response(m, respOperationEvent, 4):
	case response(m, respProgramEvent, 4):
		words = lockProgrammings
	default:
		return nil
	}
	p := m.Frame.Payload
	f := &fields{data: p}
	source, _, user := f.byte(), f.bits(), f.word()
	values := Values{"action_user": known(user), "action_source": known(source)}
	if int(p[1]) < len(words) {
		values["action"] = words[p[1]]
	}
	if int(p[0]) < len(lockSources) {
		values["action_source_name"] = lockSources[p[0]]
	}
	return values
}

// decodeLockUsers reads what the lock tells of a user. The code itself is shown only
// if the option expose_pin says so.
func decodeLockUsers(c *Context, m zigbee.Message) Values {
	if !response(m, cmdGetPin, 3) && !response(m, cmdGetUserStatus, 3) {
		return nil
	}
	p := m.Frame.Payload
	status, ok := userStatuses[p[2]]
	if !ok {
		status = fmt.Sprintf("not_supported_%v", (&fields{data: p[2:]}).byte())
	}
	user := map[string]any{"status": status}
	if m.Frame.Command == cmdGetPin && truthy(c.Options["expose_pin"]) && len(p) > 4 {
		if n := int(p[4]); n > 0 && n != 0xff && len(p) >= 5+n {
			user["pin_code"] = string(p[5 : 5+n])
		}
	}
	id := strconv.Itoa(int(binary.LittleEndian.Uint16(p)))
	return Values{"users": map[string]any{id: user}}
}

func setLock(c *Context, key string, value any) (Result, error) {
	pin := ""
	if object, ok := value.(map[string]any); ok {
		pin, _ = object["code"].(string)
		value = object["state"]
	}
	id, err := oneOf(key, value, map[string]uint8{"lock": 0, "unlock": 1, "toggle": 2})
	if err == nil && len(pin) > 32 {
		err = fmt.Errorf("code must not be longer than 32 digits")
	}
	return sends(inquiry(c, clusterDoorLock, id, append([]byte{byte(len(pin))}, pin...)), nil), err
}

// lockUser reads the number of a user, which must be one of those there is room for.
func lockUser(c *Context, key string, value any) (uint16, error) {
	user, ok := strictNumber(value)
	count := float64(pinUsers(c))
	if !ok || !(user >= 0 && user < count) {
		return 0, fmt.Errorf("%s.user must be from 0 to %v, not %s", key, count-1, quoted(value))
	}
	return uint16(user), nil
}

// pinUsers is how many users the lock has room for.
func pinUsers(c *Context) int {
	if n, ok := c.Definition.number("pinCodeCount"); ok {
		return int(min(max(n, 0), 1000))
	}
	if v, ok := c.Attribute(c.target(clusterDoorLock), clusterDoorLock, attrPinUsers); ok {
		if n, ok := numeric(v); ok {
			return int(min(max(n, 0), 1000))
		}
	}
	return 50
}

func setPinCode(c *Context, key string, value any) (Result, error) {
	object, ok := value.(map[string]any)
	if !ok {
		return Result{}, notObject(key, value)
	}
	user, err := lockUser(c, key, object["user"])
	if err != nil {
		return Result{}, err
	}
	if object["pin_code"] == nil {
		return sends(inquiry(c, clusterDoorLock, cmdClearPin, pack(user)), nil), nil
	}
	kind := object["user_type"]
	if !truthy(kind) {
		kind = "unrestricted"
	}
	userType, err := oneOf(key+".user_type", kind, userTypes)
	if err != nil {
		return Result{}, err
	}
	status := uint8(1)
	if enabled, said := object["user_enabled"]; said && enabled != nil && !truthy(enabled) {
		status = 3
	}
	pin := strings.Trim(quoted(object["pin_code"]), `"`)
	if len(pin) > 32 {
		return Result{}, fmt.Errorf("%s.pin_code must not be longer than 32 digits", key)
	}
	return sends(inquiry(c, clusterDoorLock, cmdSetPin, pack(user, status, userType, uint8(len(pin)), []byte(pin))), nil), nil
}

func setUserStatus(c *Context, key string, value any) (Result, error) {
	object, ok := value.(map[string]any)
	if !ok {
		return Result{}, notObject(key, value)
	}
	user, err := lockUser(c, key, object["user"])
	if err != nil {
		return Result{}, err
	}
	words := make(map[string]uint8)
	for id, word := range userStatuses {
		words[word] = id
	}
	status, err := oneOf(key+".status", object["status"], words)
	return sends(inquiry(c, clusterDoorLock, cmdSetUserStatus, pack(user, status)), nil), err
}

// lockUsers asks for one user, or for all.
func lockUsers(key string, id uint8) func(*Context, string) ([]zigbee.Request, error) {
	return func(c *Context, _ string) ([]zigbee.Request, error) {
		object, _ := c.Message[key].(map[string]any)
		if object["user"] != nil {
			user, err := lockUser(c, key, object["user"])
			return []zigbee.Request{inquiry(c, clusterDoorLock, id, pack(user))}, err
		}
		var requests []zigbee.Request
		for user := range pinUsers(c) {
			requests = append(requests, inquiry(c, clusterDoorLock, id, pack(uint16(user))))
		}
		return requests, nil
	}
}

func setAutoRelock(c *Context, key string, value any) (Result, error) {
	seconds, ok := strictNumber(value)
	if !ok || seconds < 0 {
		return Result{}, notNumber(key, value)
	}
	r, err := c.write(clusterDoorLock, zcl.Attribute{ID: attrAutoRelock, Type: zcl.Uint32, Value: uint64(min(seconds, 0xffffffff))})
	return sends(r, Values{key: value}), err
}

func setSoundVolume(c *Context, key string, value any) (Result, error) {
	word, _ := value.(string)
	volume := slices.Index(soundVolumes, word)
	if volume < 0 {
		return Result{}, fmt.Errorf("%s cannot be %s: choose one of %s", key, quoted(value), strings.Join(soundVolumes, ", "))
	}
	r, err := c.write(clusterDoorLock, zcl.Attribute{ID: attrSoundVolume, Type: zcl.Uint8, Value: volume})
	return sends(r, Values{key: value}), err
}

func configureLock(c *Context, endpoint uint8) []Step {
	return report(endpoint, clusterDoorLock, zigbee.Reporting{
		Attribute: attrLockState, Type: uint8(zcl.Enum8), Max: time.Hour,
	})
}
