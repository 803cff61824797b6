package modbus

import (
	"context"

	"lintel/serialbridge"
)

// Driver returns the driver for a bus. It is for ports that a person chose: what is
// sent to an unknown stick may do harm, and most units are silent until asked. Options
// that Check does not like make a driver whose Run says so.
func Driver(o Options) serialbridge.Driver {
	units, line, wrong := o.compile()
	if len(wrong) > 0 {
		line, _ = parseLine(defaultLine)
	}
	d := serialbridge.Driver{
		Protocol: "modbus",
		BothWays: true,
		Lines:    []serialbridge.Line{line},
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder {
			return newDecoder(sink, fresh(units))
		},
	}
	if o.Listen && len(wrong) == 0 {
		return d
	}
	d.Run = func(ctx context.Context, port serialbridge.Port, sink serialbridge.Sink, commands <-chan serialbridge.Command) error {
		if err := o.Check(); err != nil {
			return err
		}
		return newMaster(port, sink, o, line, fresh(units)).run(ctx, commands)
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
