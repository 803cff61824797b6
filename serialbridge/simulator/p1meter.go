package simulator

import (
	"bytes"
	"time"
)

// P1Meter is a smart meter with a P1 port (DSMR 5) in a household. What its
// telegrams count is their time, in seconds.
func P1Meter(h *Household) Device {
	return Device{Protocol: "dsmr", Interval: time.Second, Talk: func(now time.Time) []Frame {
		figures := h.At(now)
		telegram := p1Telegram(figures)
		return one(telegram, figures.Time.Unix(), bytes.LastIndexByte(telegram, '!')+1)
	}}
}
