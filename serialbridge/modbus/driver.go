package modbus

import (
	"context"

	"lintel/hardware"
	"lintel/serialbridge"
)

// Driver returns the driver for a bus. It is never found by itself: what is sent
// to an unknown stick may do harm, and most units are silent until asked. Options
// that Check does not like make a driver whose Run says so.
func Driver(o Options) serialbridge.Driver {
	units, err := o.compile()
	line := o.line(units)
	if err != nil {
		line = Options{}.line(nil)
	}
	d := serialbridge.Driver{
		Protocol: "modbus",
		Match:    func(hardware.SerialPort) serialbridge.Confidence { return serialbridge.No },
		Lines:    []serialbridge.Line{line},
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder {
			return newDecoder(sink, fresh(units))
		},
	}
	if o.Listen && err == nil {
		return d
	}
	d.Run = func(ctx context.Context, port serialbridge.Port, sink serialbridge.Sink, commands <-chan serialbridge.Command) error {
		if err := o.Check(); err != nil {
			return err
		}
		return newMaster(port, sink, o, fresh(units)).run(ctx, commands)
	}
	return d
}

// fresh returns units of which nothing is known yet.
func fresh(units []*unit) []*unit {
	var again []*unit
	for _, u := range units {
		again = append(again, newUnit(u.Unit, u.table))
	}
	return again
}
