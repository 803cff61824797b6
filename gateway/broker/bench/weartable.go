package main

import (
	"fmt"
	"io"
	"strings"
)

// printWear prints a table a mix.
func printWear(w io.Writer, all []*wear) {
	var lintel *wear
	for i, one := range all {
		if i == 0 || all[i-1].mix.name != one.mix.name {
			if i > 0 {
				fmt.Fprintln(w)
			}
			total, kept := one.mix.messages()
			fmt.Fprintf(w, "%s: %s; %.0f messages a day.", one.mix.name, one.mix.what, total)
			if kept > 0 {
				fmt.Fprintf(w, " %.0f of them have to be on the disk before they are acknowledged: %.0f MiB if each takes a block of 4 KiB and nothing else is written.", kept, kept*4096/(1<<20))
			}
			fmt.Fprint(w, "\n\n| broker | MiB a day | to lintel | of it tables | bytes per message, all there | one away | coming back | flushes a day | lost of acknowledged | kill -9 | plug pulled |\n|"+strings.Repeat("---|", 11)+"\n")
			lintel = nil
		}
		if one.broker == "lintel" && one.failed == nil {
			lintel = one
		}
		fmt.Fprintf(w, "| %s | %s |\n", one.broker, strings.Join(one.cells(lintel), " | "))
	}
	fmt.Fprintln(w)
}

// cells are the figures of a day. lintel, which may be nil, has the same house.
func (w *wear) cells(lintel *wear) []string {
	if w.failed != nil {
		return append([]string{"failed: " + cell(w.failed)}, make([]string, 9)...)
	}
	const mib = 1 << 20
	ratio := ""
	day := w.day()
	if lintel != nil {
		ratio = fmt.Sprintf("%.3f", day.bytes/max(lintel.day().bytes, 1))
	}
	each := func(s stretch, messages int) string {
		return fmt.Sprintf("%.0f", (s.bytes+s.tables)/float64(max(messages, 1)))
	}
	lost := func(n, of int, err error) string {
		switch {
		case err != nil:
			return cell(err)
		case of == 0:
			return "nothing is acknowledged"
		}
		return fmt.Sprintf("%d of %d", n, of)
	}
	return []string{
		fmt.Sprintf("%.1f", day.bytes/mib), ratio, fmt.Sprintf("%.1f", w.tables()/mib),
		each(w.all, w.all.messages), each(w.away, w.away.messages), each(w.back, w.fastAway.messages),
		fmt.Sprintf("%.0f", day.flushes),
		lost(w.lost, w.acked, nil), lost(w.killLost, w.killAcked, w.killError), lost(w.pulledLost, w.pulledAcked, w.pulledError),
	}
}

// cell puts an error, with what a broker may have said, into one cell.
func cell(err error) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(err.Error()), " "), "|", "/")
}

// messages returns how many messages a day has and how many of them have to be
// kept before their acknowledgement: those at QoS 1 that are retained or that
// somebody who is away wants.
func (m mix) messages() (total, kept float64) {
	for _, d := range newDevices(m) {
		day := float64(dayAll+dayAway) / float64(d.every)
		total += day
		switch {
		case d.qos == 0:
		case d.retain:
			kept += day
		default:
			kept += float64(dayAway) / float64(d.every)
		}
	}
	return total, kept
}
