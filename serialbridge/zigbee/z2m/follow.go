package z2m

import (
	"fmt"
	"time"

	"lintel/serialbridge/journey"
	"lintel/serialbridge/zigbee/devices"
)

// What is here tells of single messages while somebody watches a device. The mutex is held.

func (b *Bridge) journeys() *journey.Book { return b.o.Network.Journeys }

// follow has what is published meanwhile belong to the journey with a number; 0: nobody
// follows it.
func (b *Bridge) follow(number uint64, publish func()) {
	if number == 0 {
		publish()
		return
	}
	before, told := b.following, b.told
	b.following, b.told = number, false
	publish()
	if !b.told {
		b.journeys().Tell(number, journey.Stage{Kind: journey.Unpublished, Detail: "it tells nothing that is published"})
	}
	b.following, b.told = before, told
}

// followValues tells what a definition makes of a message.
func (b *Bridge) followValues(number uint64, values devices.Values) {
	if number != 0 && len(values) > 0 {
		b.journeys().Tell(number, journey.Stage{Kind: journey.Converted, Text: string(encode(map[string]any(values)))})
	}
}

// waits tells that what is followed is published later.
func (b *Bridge) waits(d *device, option string, wait time.Duration) {
	if b.following == 0 {
		return
	}
	b.told = true
	if d.waitingNumber != 0 {
		b.journeys().Tell(d.waitingNumber, journey.Stage{Kind: journey.Joined})
	}
	d.waitingNumber = b.following
	b.journeys().Tell(b.following, journey.Stage{Kind: journey.Waits, Detail: fmt.Sprintf("for %v, because of the option %s", wait.Round(time.Millisecond), option)})
}

// refuse says why a command is not done.
func (b *Bridge) refuse(number uint64, why string) {
	b.journeys().Tell(number, journey.Stage{Kind: journey.Failed, Detail: why})
	b.tell("error", why)
}
