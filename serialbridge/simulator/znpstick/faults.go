package znpstick

import "time"

// Faults are what is wrong with the stick and its line. Shares are from 0 to 1; those of
// bytes are of each direction. The zero value is a stick in good order.
type Faults struct {
	Garble float64 // share of bytes of which a bit is wrong
	Lose   float64 // share of bytes that are lost
	Double float64 // share of bytes that come twice
	// Checksum is the share of the stick's frames whose sum is wrong.
	Checksum float64
	// Full is the share of data requests that find the buffers full.
	Full float64
	// Busy is the share of data requests that find the radio channel busy.
	Busy float64
	Slow time.Duration // pause before each frame of the stick
	Mute bool          // the stick says nothing
}

// damage does to bytes what the line does.
func (s *Stick) damage(data []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &s.faults
	if f.Garble == 0 && f.Lose == 0 && f.Double == 0 {
		return data
	}
	out := make([]byte, 0, len(data)+8)
	for _, b := range data {
		if s.chance(f.Lose) {
			continue
		}
		if s.chance(f.Garble) {
			b ^= 1 << s.random.IntN(8)
		}
		out = append(out, b)
		if s.chance(f.Double) {
			out = append(out, b)
		}
	}
	return out
}

// spoil does to a frame of the stick what the stick does.
func (s *Stick) spoil(frame []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.faults.Mute:
		return nil
	case s.chance(s.faults.Checksum):
		frame[len(frame)-1] ^= 0x55
	}
	return frame
}

func (s *Stick) chance(share float64) bool { return share > 0 && s.random.Float64() < share }
