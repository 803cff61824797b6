// Package zigbee is a Zigbee network, whatever the radio: who is in it, how
// devices join and are interviewed, what they say and are told.
//
// A [Coordinator] is a stick; packages znp and ezsp make them. What devices
// mean is told by package devices; package z2m carries it to MQTT.
//
// # Contract
//
// A [Network] lives as long as the program: Run does its background work and calls
// Handler, and Serve is called for each stick that is plugged in, one at a time.
// The network outlives the stick: devices, settings and backups stay, requests fail
// with [ErrNoStick] until the next one is served. All goroutines belong to Run
// or Serve and end before these return; methods have none.
//
// Methods may be called from any goroutine. One mutex guards everything, and nobody
// waits for a device, a stick or the card while holding it. What a stick
// tells never waits: it is taken in under the mutex, and what others are to be told is put into a queue
// that Run empties, in order, by one goroutine. Devices that methods return
// are copies. Those that Handler is given share their endpoints with others and are
// not to be changed.
//
// # What is sent
//
// Requests to a device whose receiver is always on are sent one after the other and
// answered in any order; a device that sleeps has one request at a time, from the
// beginning to the end. A request may be held for a device that sleeps: it is sent
// again each time that the device is heard, and a device that checks in (Poll Control)
// is kept awake as long as something waits for it.
//
// # What is kept
//
// Structural changes are written to the Store at once, by a goroutine of Run; when a
// device was seen last, how well, and what its attributes are, every fifteen minutes
// and at the end. The Memory holds what the network is made of, its last two
// backups, the last one of a network that it has replaced, and the devices that may not
// join.
//
// # Limits
//
//	devices                                  1000
//	what Handler has not been told yet       16384, more is counted as Overflows
//	what devices wait to be answered         512, more is counted as NotAnswered
//	addresses whose device is being asked for 64, with 8 frames each
//	attributes kept of a device              512
//	requests on their way                    16 to devices awake, 16 to such as sleep
//	a backup that is read                    4 MiB
//
// A frame that cannot be read is counted in Counters.Damaged by what is wrong with
// it, and changes nothing, as are those that came damaged over the stick's line; of
// a list of attributes that ends badly those before the end count.
package zigbee
