package airquality

import (
	"context"

	"lintel/serialbridge"
)

const mhz19Mute = "the sensor does not answer: check that RX and TX are not swapped and that it has 5 V"

// The commands of an MH-Z19 (Winsen, MH-Z19B 1.6, "Commands"): FF, 01, command,
// five bytes, sum.
const (
	mhz19Read           = 0x86
	mhz19CalibrateZero  = 0x87
	mhz19SelfCalibrate  = 0x79
	mhz19SelfCalibrates = 0xA0 // the byte behind it; 0: it does not
)

const mhz19Answer = "\xFF\x86"

var mhz19 = sensor{"mhz19", "CO\u2082 sensor", "Winsen", "MH-Z19"}

// mhz19Buttons are what the maker describes. The sensor does not tell whether it
// calibrates itself, so that is no switch.
func mhz19Buttons() []serialbridge.Property {
	return []serialbridge.Property{
		button("calibrate", "Calibrate to 400 ppm"),
		button("self_calibration_on", "Switch self-calibration on"),
		button("self_calibration_off", "Switch self-calibration off"),
	}
}

// mhz19Forms returns the one answer that is read. Some models tell their own
// temperature where the maker says that there is nothing: it is counted from 40, up
// to 85 °C, and 0 where it is not told.
func mhz19Forms() []form {
	co2 := field{2, u16, 1, 0, 10_000, carbonDioxide()}
	warm := func(frame []byte) bool { return frame[4] != 0 && frame[4] <= 40+85 }
	return []form{
		{
			sensor: &mhz19, header: mhz19Answer, size: 9, valid: validMHZ19, buttons: mhz19Buttons(),
			claims: func(frame []byte) claim { return certainly(warm(frame)) },
			fields: []field{
				co2,
				{4, above40, 1, 0, 0, serialbridge.Measured("temperature", "Temperature of the sensor", "°C", "temperature", 0).AsDiagnostic()},
			},
		},
		{
			sensor: &mhz19, header: mhz19Answer, size: 9, valid: validMHZ19, buttons: mhz19Buttons(),
			claims: func(frame []byte) claim { return certainly(!warm(frame)) },
			fields: []field{co2},
		},
	}
}

func certainly(yes bool) claim {
	if yes {
		return certain
	}
	return not
}

// validMHZ19 checks a frame of which all bytes but the first add up to nothing.
func validMHZ19(frame []byte) bool { return sum8(frame[1:]) == 0 }

// mhz19Command returns what is sent to a sensor.
func mhz19Command(command, value byte) []byte {
	b := []byte{0xFF, 0x01, command, value, 0, 0, 0, 0}
	return append(b, -sum8(b[1:]))
}

// MHZ19 returns the driver for the CO2 sensors MH-Z19, MH-Z19B and MH-Z19C of
// Winsen. They are asked, so it runs only where the user says so.
func MHZ19() serialbridge.Driver {
	forms := mhz19Forms()
	return serialbridge.Driver{
		Protocol: "mhz19",
		Lines:    []serialbridge.Line{{Baud: 9600, DataBits: 8, Parity: 'N', StopBits: 1}},
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder {
			return newDecoder(sink, forms)
		},
		Run: func(ctx context.Context, port serialbridge.Port, sink serialbridge.Sink, commands <-chan serialbridge.Command) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			d := newDecoder(sink, forms)
			c := d.converse(ctx, port, mhz19Mute)
			read := question{mhz19Command(mhz19Read, 0), func() uint64 { return d.answers[mhz19Answer] }}
			return c.repeat(ctx, func() error { _, err := c.ask(ctx, read); return err }, commands, func(command serialbridge.Command) error {
				if command.Device != d.said {
					return nil
				}
				// None of these is answered.
				switch command.Key {
				case "calibrate":
					return c.Tell(mhz19Command(mhz19CalibrateZero, 0))
				case "self_calibration_on":
					return c.Tell(mhz19Command(mhz19SelfCalibrate, mhz19SelfCalibrates))
				case "self_calibration_off":
					return c.Tell(mhz19Command(mhz19SelfCalibrate, 0))
				}
				return nil
			})
		},
	}
}
