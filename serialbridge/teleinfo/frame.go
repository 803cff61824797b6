package teleinfo

import (
	"bytes"
	"slices"
	"strings"

	"lintel/serialbridge"
)

// mode is how the groups of a frame are written.
type mode byte

const (
	unknownMode mode = iota
	historic         // label SP value SP checksum
	standard         // label TAB [time TAB] value TAB checksum
)

// A frame is what stands between STX and ETX, taken apart but not yet
// understood.
type frame struct {
	mode   mode
	groups []group
}

// A group is one line of a frame.
type group struct {
	label string
	time  string // of a stamped group in standard mode
	value string
}

// get returns the value of a group, or nothing if it is not there.
func (f *frame) get(label string) string {
	i := slices.IndexFunc(f.groups, func(g group) bool { return g.label == label })
	if i < 0 {
		return ""
	}
	return f.groups[i].value
}

func (f *frame) has(labels ...string) bool {
	return slices.ContainsFunc(f.groups, func(g group) bool { return slices.Contains(labels, g.label) })
}

// add adds what stands between LF and CR, or returns why it cannot.
func (f *frame) add(line []byte) (reason string) {
	// The shortest is a label, a value and a checksum of one character each.
	if len(line) < 5 {
		return serialbridge.DamagedSyntax
	}
	m, separator, summed := historic, byte(' '), line[:len(line)-2]
	if bytes.IndexByte(line, '\t') >= 0 {
		m, separator, summed = standard, '\t', line[:len(line)-1]
	}
	if line[len(line)-2] != separator || f.mode != unknownMode && m != f.mode {
		return serialbridge.DamagedSyntax
	}
	if checksum(summed) != line[len(line)-1] {
		return serialbridge.DamagedChecksum
	}
	g, ok := parseGroup(m, string(line[:len(line)-2]))
	if !ok {
		return serialbridge.DamagedSyntax
	}
	if f.has(g.label) {
		return serialbridge.DamagedTruncated
	}
	if len(f.groups) == maxGroups {
		return serialbridge.DamagedTooLong
	}
	f.mode = m
	f.groups = append(f.groups, g)
	return ""
}

// checksum adds up the bytes, cuts the sum to six bits and moves it to where
// characters can be printed (Enedis-NOI-CPT_54E).
func checksum(data []byte) byte {
	var sum byte
	for _, b := range data {
		sum += b
	}
	return sum&0x3F + 0x20
}

func parseGroup(m mode, s string) (group, bool) {
	for i := range len(s) {
		// In six bits a character and its neighbour 40 further are the
		// same, so a control character would pass.
		if (s[i] < ' ' || s[i] > '~') && s[i] != '\t' {
			return group{}, false
		}
	}
	var g group
	if m == historic {
		g.label, g.value, _ = strings.Cut(s, " ")
		return g, isLabel(g.label) && g.value != ""
	}
	parts := strings.Split(s, "\t")
	switch len(parts) {
	case 2:
		g = group{label: parts[0], value: parts[1]}
	case 3:
		g = group{label: parts[0], time: parts[1], value: parts[2]}
	}
	return g, isLabel(g.label) && isTime(g.time)
}

// isTime reports whether s is a time, SYYMMDDhhmmss, or left blank.
func isTime(s string) bool {
	if strings.TrimSpace(s) == "" {
		return true
	}
	return len(s) == 13 && strings.IndexByte("EHeh ", s[0]) >= 0 && digits(s[1:])
}

// maxLabel bounds a label. The longest known is SMAXSN1-1.
const maxLabel = 12

// isLabel reports whether s is a label, such as EASF01 or NJOURF+1.
func isLabel(s string) bool {
	for i := range len(s) {
		if !('A' <= s[i] && s[i] <= 'Z' || '0' <= s[i] && s[i] <= '9' || s[i] == '+' || s[i] == '-') {
			return false
		}
	}
	return s != "" && len(s) <= maxLabel
}
