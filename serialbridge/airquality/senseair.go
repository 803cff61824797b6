package airquality

import (
	"context"
	"encoding/binary"
	"fmt"

	"lintel/serialbridge"
	"lintel/serialbridge/crc"
)

const senseairMute = "the sensor does not answer: check that RX and TX are not swapped and that it has 5 V"

// anySensor is the address at which every sensor of Senseair listens; only one
// may be at the line.
const anySensor = 0xFE

// The functions of Modbus that are used.
const (
	readInput = 0x04
	writeOne  = 0x06
)

// The registers of an S8, by their numbers (Senseair TDE2067, "Modbus on
// Senseair S8"): IR are read, HR are written. On the line they count from 0.
const (
	senseairStatus = 1  // IR1: meter status; IR2: alarm; IR3: output; IR4: CO2 in ppm
	senseairType   = 26 // IR26, 27: type; IR28: memory map; IR29: firmware; IR30, 31: sensor ID
	senseairDone   = 1  // HR1: bits of commands that are done
	senseairDo     = 2  // HR2: command
)

// senseairCalibrate is the command that takes the air as it is for 400 ppm.
const senseairCalibrate = 0x7C06

// The answers. That of a read does not say which registers it holds: four are
// the measurement, six the identity.
const (
	senseairMeasured = "\xFE\x04\x08"
	senseairIdentity = "\xFE\x04\x0C"
	senseairWritten  = "\xFE\x06"
)

var senseair = sensor{"senseair", "CO\u2082 sensor", "Senseair", "S8"}

func senseairForms() []form {
	return []form{
		{
			sensor: &senseair, header: senseairMeasured, size: 13, valid: validModbus,
			fields: []field{
				{9, i16, 1, 0, 10_000, carbonDioxide()},
				{3, u16, 1, 0, 0xFFFF, problem()},
			},
			buttons: []serialbridge.Property{button("calibrate", "Calibrate to 400 ppm")},
		},
		{
			sensor: &senseair, header: senseairIdentity, size: 17, valid: validModbus,
			serial: func(frame []byte) string {
				if id := binary.BigEndian.Uint32(frame[11:]); id != 0 {
					return fmt.Sprintf("%08X", id)
				}
				return ""
			},
		},
		{sensor: &senseair, header: senseairWritten, size: 8, valid: validModbus},
	}
}

// validModbus checks a frame that ends with its CRC, lower byte first.
func validModbus(frame []byte) bool {
	end := len(frame) - 2
	return binary.LittleEndian.Uint16(frame[end:]) == crc.Modbus(frame[:end])
}

// modbusRequest returns a request that concerns a register: how many are read
// from there on, or what is written.
func modbusRequest(function byte, register, value uint16) []byte {
	b := []byte{anySensor, function}
	b = binary.BigEndian.AppendUint16(b, register-1)
	b = binary.BigEndian.AppendUint16(b, value)
	return binary.LittleEndian.AppendUint16(b, crc.Modbus(b))
}

// Senseair returns the driver for the CO2 sensor S8 of Senseair. It is asked, so
// it runs only where the user says so.
func Senseair() serialbridge.Driver {
	forms := senseairForms()
	return serialbridge.Driver{
		Protocol: "senseair",
		Lines:    []serialbridge.Line{{Baud: 9600, DataBits: 8, Parity: 'N', StopBits: 1}},
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder {
			return newDecoder(sink, forms)
		},
		Run: func(ctx context.Context, port serialbridge.Port, sink serialbridge.Sink, commands <-chan serialbridge.Command) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			d := newDecoder(sink, forms)
			c := d.converse(ctx, port, senseairMute)
			answers := func(header string) func() uint64 { return func() uint64 { return d.answers[header] } }
			read := question{modbusRequest(readInput, senseairStatus, 4), answers(senseairMeasured)}
			if err := c.identify(ctx, question{modbusRequest(readInput, senseairType, 6), answers(senseairIdentity)}, read); err != nil {
				return err
			}
			return c.repeat(ctx, func() error { _, err := c.ask(ctx, read); return err }, commands, func(command serialbridge.Command) error {
				if command.Device != d.said || command.Key != "calibrate" {
					return nil
				}
				// What was done before is forgotten first.
				for _, request := range [][]byte{
					modbusRequest(writeOne, senseairDone, 0),
					modbusRequest(writeOne, senseairDo, senseairCalibrate),
				} {
					if _, err := c.ask(ctx, question{request, answers(senseairWritten)}); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}
