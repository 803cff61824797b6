package enocean

import (
	"slices"

	"lintel/serialbridge"
)

// Bits of the status of an RPS telegram (EEP 2.6.7, "RPS").
const (
	statusNU  = 0x10 // says which buttons, not how many
	statusT21 = 0x20 // PTM of type 2
)

// buttons are the names of the buttons of a rocker switch by number (F6-02):
// rockers A and B, positions I and O.
var buttons = []string{"ai", "ao", "bi", "bo"}

// action is the event of a rocker switch.
func action() serialbridge.Property {
	p := serialbridge.Property{Key: "action", Name: "Action", Kind: serialbridge.Event, Class: "button", Precision: -1}
	for _, b := range buttons {
		p.Options = append(p.Options, b+"_pressed")
	}
	for _, a := range buttons[:2] {
		for _, b := range buttons[2:] {
			p.Options = append(p.Options, a+"_"+b+"_pressed")
		}
	}
	p.Options = append(p.Options, "several_pressed", "released")
	return p
}

// handle is where a window handle points (F6-10-00).
func handle() serialbridge.Property {
	return serialbridge.Property{Key: "handle", Name: "Handle", Kind: serialbridge.State, Precision: -1,
		Options: []string{"closed", "open", "tilted"}}
}

// readRPS says what an RPS telegram means. There is no teach-in for it: what is
// not a window handle is taken for a rocker switch.
func readRPS(t telegram) (form profileID, p serialbridge.Property, value string) {
	db := t.payload[0]
	if t.status&statusNU == 0 {
		// A handle's two highest bits are 1: more buttons than there are.
		if t.status&statusT21 != 0 && db&0xC0 == 0xC0 {
			value = "open" // 1100 and 1110: horizontal
			switch db >> 4 {
			case 0xF:
				value = "closed"
			case 0xD:
				value = "tilted"
			}
			return handleForm, handle(), value
		}
		value = "released"
		if db&0x10 != 0 {
			value = "several_pressed"
		}
		return rockerForm, action(), value
	}
	p = action()
	first, second := int(db>>5), int(db>>1&7)
	value = "released"
	if db&0x10 != 0 {
		value = "several_pressed"
		if first < len(buttons) && db&1 == 0 {
			value = buttons[first] + "_pressed"
		} else if first < len(buttons) && second < len(buttons) {
			both := buttons[min(first, second)] + "_" + buttons[max(first, second)] + "_pressed"
			if slices.Contains(p.Options, both) {
				value = both
			}
		}
	}
	return rockerForm, p, value
}

// contact is what D5-00-01 tells: bit 0 is 0 when the contact is open.
func contact() serialbridge.Property { return serialbridge.Flag("contact", "Contact", "opening") }
