package judge

import "slices"

// Unfold returns a message of a single component, the root of a document in device form,
// or one of its components with the long names of its keys, also in what stands in device,
// origin and availability, and with ~ replaced. An object in the place of the list of
// availability becomes a list of one.
func Unfold(message map[string]any) map[string]any {
	s := known()
	m, _ := lengthen(message, s.long)
	if one, ok := m["availability"].(object); ok {
		m["availability"] = []any{one}
	}
	if list, ok := m["availability"].([]any); ok {
		list = slices.Clone(list)
		for i, a := range list {
			if a, ok := a.(object); ok {
				list[i], _ = lengthen(a, s.long)
			}
		}
		m["availability"] = list
	}
	for part, set := range map[string]keySet{"device": s.Device, "origin": s.Origin} {
		if o, ok := m[part].(object); ok {
			m[part], _ = lengthen(o, set.long())
		}
	}
	if replaceBase(m) == nil {
		delete(m, "~")
	}
	return m
}

// long returns the long names by abbreviation.
func (s keySet) long() map[string]string {
	long := make(map[string]string)
	for _, keys := range []map[string]string{s.Required, s.Optional} {
		for l, short := range keys {
			if short != "" {
				long[short] = l
			}
		}
	}
	return long
}
