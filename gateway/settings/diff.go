package settings

import (
	"slices"
	"strings"
)

const (
	diffContext = 2       // lines around each change
	maxDiffWork = 4 << 20 // pairs of lines that are compared; beyond it all lines are changed
)

// diffLines returns what changes from one text to another, with some lines around, each behind
// "-", "+" or " "; "…" stands between.
func diffLines(before, after string) []string {
	a, b := linesOf(before), linesOf(after)
	start := 0
	for start < min(len(a), len(b)) && a[start] == b[start] {
		start++
	}
	end := 0
	for end < min(len(a), len(b))-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	all := make([]string, 0, len(a))
	keep := func(lines []string) {
		for _, l := range lines {
			all = append(all, "  "+l)
		}
	}
	keep(a[:start])
	all = append(all, longest(a[start:len(a)-end], b[start:len(b)-end])...)
	keep(a[len(a)-end:])
	return around(all)
}

func linesOf(text string) []string {
	if text = strings.TrimRight(text, "\n"); text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// longest writes what changes by the longest common subsequence.
func longest(a, b []string) (all []string) {
	change := func(sign string, lines []string) {
		for _, l := range lines {
			all = append(all, sign+" "+l)
		}
	}
	if len(a)*len(b) > maxDiffWork {
		change("-", a)
		change("+", b)
		return all
	}
	// lengths[i][j] is that of a[i:] and b[j:].
	width := len(b) + 1
	lengths := make([]int32, (len(a)+1)*width)
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				lengths[i*width+j] = lengths[(i+1)*width+j+1] + 1
			} else {
				lengths[i*width+j] = max(lengths[(i+1)*width+j], lengths[i*width+j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			change(" ", a[i:i+1])
			i, j = i+1, j+1
		case lengths[(i+1)*width+j] >= lengths[i*width+j+1]:
			change("-", a[i:i+1])
			i++
		default:
			change("+", b[j:j+1])
			j++
		}
	}
	change("-", a[i:])
	change("+", b[j:])
	return all
}

// around leaves out the lines that are far from any change; of none nothing is left.
func around(all []string) []string {
	var near []string
	left := false
	for i, l := range all {
		from, to := max(i-diffContext, 0), min(i+diffContext+1, len(all))
		if slices.ContainsFunc(all[from:to], func(l string) bool { return l[0] != ' ' }) {
			if left && len(near) > 0 {
				near = append(near, "  …")
			}
			near, left = append(near, l), false
		} else {
			left = true
		}
	}
	return near
}
