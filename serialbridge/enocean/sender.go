package enocean

import (
	"fmt"
	"reflect"
	"slices"

	"lintel/serialbridge"
)

// A sender is what is known of a device.
type sender struct {
	id           senderID
	profile      profileID
	manufacturer manufacturerID
	meters       []byte             // the different DB0 of an A5-12
	measures     bool               // a D2-01 that has told energy or power
	brightness   map[string]float64 // of lights when they were on last, by key
	device       serialbridge.Device
	announced    serialbridge.Device // as it was last passed on
}

func newSender(id senderID) *sender {
	return &sender{id: id, device: serialbridge.Device{ID: "enocean_" + id.String(), SerialNumber: id.String()}}
}

// is says what a sender is: a profile with the name of what it is for.
func (s *sender) is(model string) {
	s.device.Model = model
	s.device.Name = fmt.Sprintf("EnOcean %s %v", nameOf(model), s.id)
}

// nameOf returns a model without its number.
func nameOf(model string) string {
	for i := range model {
		if model[i] == ' ' {
			return model[i+1:]
		}
	}
	return "device"
}

// has notes a property. It stays: most telegrams do not tell all.
func (s *sender) has(p serialbridge.Property) {
	i := slices.IndexFunc(s.device.Properties, func(q serialbridge.Property) bool { return q.Key == p.Key })
	if i < 0 {
		s.device.Properties = append(s.device.Properties, p)
		return
	}
	s.device.Properties[i] = p
}

// announce passes on a device that is new or has changed.
func (d *decoder) announce(s *sender) {
	if reflect.DeepEqual(s.announced, s.device) {
		return
	}
	s.announced = s.device
	s.announced.Properties = slices.Clone(s.device.Properties)
	d.sink.Device(s.announced)
}

// Profiles of senders that are told by the form of their telegrams. The type of
// a rocker switch (F6-02-01, F6-02-02, F6-03-01 …) cannot be seen.
var (
	rockerForm  = profileID{rps, 0x02, 0x00}
	handleForm  = profileID{rps, 0x10, 0x00}
	contactForm = profileID{bs1, 0x00, 0x01}
)

var formModels = map[profileID]string{
	rockerForm:  "F6-02 rocker switch",
	handleForm:  "F6-10-00 window handle",
	contactForm: "D5-00-01 contact",
}

// formOf returns the profile that a taught one is read as.
func formOf(p profileID) profileID {
	switch {
	case p.rorg == rps && p.fn == handleForm.fn:
		return handleForm
	case p.rorg == rps:
		return rockerForm
	case p.rorg == bs1:
		return contactForm
	}
	return p
}

func formProperty(p profileID) serialbridge.Property {
	switch p {
	case handleForm:
		return handle()
	case contactForm:
		return contact()
	}
	return action()
}

// speaksWhenUsed tells whether a sender is silent while nothing happens to it.
// Some contacts and all motion sensors speak now and then besides, but much
// less often than when they are used: their silence says nothing for hours.
func speaksWhenUsed(p profileID) bool {
	_, executes := executorOf(p)
	return executes || formModels[p] != "" || p.rorg == bs4 && (p.fn == 0x07 || p.fn == 0x08)
}
