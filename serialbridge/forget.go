package serialbridge

import "errors"

// Forget drops a stick that is gone for good, by StickStatus.Device. One that is plugged in
// again is a new one. It fails if the stick is there, or if the configuration names it; one
// that the supervisor does not know is forgotten already.
func (s *Supervisor) Forget(device string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.sticks {
		if st.deviceID() != device {
			continue
		}
		switch {
		case st.named:
			return errors.New("the configuration names it: take it out there and start Lintel again")
		case st.cancel != nil:
			return errors.New("it is plugged in: unplug it first")
		}
		s.drop(st)
	}
	return nil
}
