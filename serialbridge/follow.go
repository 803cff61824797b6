package serialbridge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"lintel/serialbridge/journey"
)

// What is here tells of single readings and commands while somebody watches a device.

const (
	maxOverheard = 4096            // bytes of one telegram that are kept
	maxChunks    = 4               // that are told of a command, each way
	commandTime  = 2 * time.Second // in which what goes over the port is taken for its doing
)

// overheard is what went over the port of a stick of late. Which bytes make a telegram is
// the driver's affair: what was read since the last reading is taken for those of the
// next, and of two that came in one read the second has all of it too.
type overheard struct {
	mu     sync.Mutex
	bytes  []byte
	size   int
	first  time.Time
	told   bool   // a reading was made of it: the next bytes are of the next one
	number uint64 // of the last command; 0: none
	until  time.Time
	sent   int // chunks since the command
	came   int
}

// hear takes note of what went over the port.
func (o *overheard) hear(book *journey.Book, kind ChunkKind, data []byte) {
	if kind != Received && kind != Sent {
		return
	}
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.number != 0 && now.After(o.until) {
		o.number = 0
	}
	if kind == Sent {
		if o.number != 0 && o.sent < maxChunks {
			o.sent++
			book.Tell(o.number, journey.Stage{Time: now, Kind: journey.Written, Bytes: data})
		}
		return
	}
	if o.number != 0 && o.sent > 0 && o.came < maxChunks {
		o.came++
		book.Tell(o.number, journey.Stage{Time: now, Kind: journey.Answer, Bytes: data})
	}
	if o.told || o.size == 0 {
		o.bytes, o.size, o.first, o.told = o.bytes[:0], 0, now, false
	}
	o.bytes = append(o.bytes, data[:min(len(data), maxOverheard-len(o.bytes))]...)
	o.size += len(data)
}

// command has what follows be that of a command.
func (o *overheard) command(number uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.number, o.until, o.sent, o.came = number, time.Now().Add(commandTime), 0, 0
}

// telegram returns the bytes of the reading that has just been made, and when the first came.
func (o *overheard) telegram() (data []byte, size int, first time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told = true
	return bytes.Clone(o.bytes), o.size, o.first
}

// began begins the journey of a reading. It returns 0 if nobody watches the device. The
// caller holds the supervisor's lock.
func (st *stick) began(d *device, values map[string]any) (number uint64) {
	book := st.s.o.Journeys
	if !book.On() {
		return 0
	}
	data, size, first := st.overheard.telegram()
	if size == 0 { // it came before somebody watched, or the driver has it from elsewhere
		first = time.Now()
	}
	number = book.Begin(d.ID, journey.Stage{Time: first, Kind: journey.Heard, Bytes: data, Size: size, Detail: st.id})
	if number == 0 {
		return 0
	}
	book.Tell(number, journey.Stage{Kind: journey.Parsed, Detail: "a reading of the driver for " + st.protocol})
	book.Tell(number, journey.Stage{Kind: journey.Converted, Text: valuesText(values)})
	return number
}

// follow tells what becomes of the state after a reading. The caller holds the supervisor's lock.
func (d *device) follow(number uint64, publishes bool, wait time.Duration) {
	book := d.owner.s.o.Journeys
	if !publishes {
		book.Tell(number, journey.Stage{Kind: journey.Unpublished, Detail: "nothing new"})
		return
	}
	if d.journey != 0 {
		book.Tell(d.journey, journey.Stage{Kind: journey.Joined})
	}
	d.journey = number
	if wait > 0 {
		book.Tell(number, journey.Stage{Kind: journey.Waits, Detail: fmt.Sprintf("for %v, until the interval between two states is over", wait.Round(time.Millisecond))})
	}
}

// follow is pass for commands that somebody follows, or nobody does.
func (st *stick) follow(number uint64, commands []Command) error {
	if number != 0 && st.s.o.Journeys.On() {
		st.overheard.command(number)
	}
	err := st.pass(commands)
	if err == nil {
		st.s.o.Journeys.Tell(number, journey.Stage{Kind: journey.Handed, Detail: "to the driver for " + st.protocol})
	}
	return err
}

// commanded is the stage of commands that were understood.
func commanded(commands []Command) journey.Stage {
	values := make(map[string]any, len(commands))
	for _, c := range commands {
		values[c.Key] = c.Value
	}
	return journey.Stage{Kind: journey.Command, Text: valuesText(values)}
}

// valuesText writes values as JSON, which those that are out of the ordinary are not.
func valuesText(values map[string]any) string {
	fit := make(map[string]any, len(values))
	for key, v := range values {
		if _, object := v.(map[string]any); presentable(v) || object {
			fit[key] = v
		} else {
			fit[key] = fmt.Sprint(v)
		}
	}
	text, err := json.Marshal(fit)
	if err != nil { // what a driver has put into an object
		return fmt.Sprint(fit)
	}
	return string(text)
}
