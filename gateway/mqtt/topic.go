package mqtt

import "strings"

// ValidTopicName reports whether t may be the topic name of a message: at least
// one character, at most 65,535 bytes, no wildcard [v5 MQTT-4.7.0-1,
// MQTT-4.7.3-1, MQTT-4.7.3-3]. That it is valid UTF-8 is checked elsewhere.
func ValidTopicName[S string | []byte](t S) bool {
	if len(t) == 0 || len(t) > 65535 {
		return false
	}
	for i := range len(t) {
		if c := t[i]; c == '+' || c == '#' || c == 0 {
			return false
		}
	}
	return true
}

// ValidFilter reports whether f may be a topic filter without a share name: the
// wildcard '#' stands alone in the last level, '+' alone in its level
// [v5 MQTT-4.7.1-1, MQTT-4.7.1-2].
func ValidFilter(f string) bool {
	if len(f) == 0 || len(f) > 65535 {
		return false
	}
	for i := range len(f) {
		switch f[i] {
		case 0:
			return false
		case '#':
			if i != len(f)-1 || i > 0 && f[i-1] != '/' {
				return false
			}
		case '+':
			if i > 0 && f[i-1] != '/' || i < len(f)-1 && f[i+1] != '/' {
				return false
			}
		}
	}
	return true
}

// SplitShared takes the share name off the filter of a shared subscription,
// $share/NAME/FILTER (5.0 §4.8.2). For other filters share is empty. ok is
// false if either part is not valid [v5 MQTT-4.8.2-1, MQTT-4.8.2-2].
func SplitShared(f string) (share, filter string, ok bool) {
	rest, shared := strings.CutPrefix(f, "$share/")
	if !shared {
		return "", f, ValidFilter(f) && f != "$share"
	}
	share, filter, found := strings.Cut(rest, "/")
	if !found || share == "" || strings.ContainsAny(share, "+#") || !ValidFilter(filter) {
		return "", "", false
	}
	return share, filter, true
}

// Match reports whether a topic name matches a topic filter (5.0 §4.7). Both
// must be valid. A wildcard in the first level does not match a name that
// begins with $ [v5 MQTT-4.7.2-1].
func Match(filter, topic string) bool {
	if topic != "" && topic[0] == '$' && filter != "" && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	for {
		level, rest, more := strings.Cut(filter, "/")
		if level == "#" {
			return true
		}
		name, below, deeper := strings.Cut(topic, "/")
		if level != "+" && level != name {
			return false
		}
		switch {
		case !more:
			return !deeper
		case !deeper:
			return rest == "#" // '#' includes the parent level
		}
		filter, topic = rest, below
	}
}
