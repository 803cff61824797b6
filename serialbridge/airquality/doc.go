// Package airquality reads sensors of fine dust and of air quality.
//
// The protocol airquality is of those that talk without being asked: the SDS011
// and SDS198 of Nova Fitness, the PMSx003 family of Plantower, Honeywell's
// HPMA115, and the MCU680, a BME680 behind a microcontroller. All speak at 9600
// 8N1, in frames of fixed length with a header and a sum; which frame holds what
// is the table of forms. The MCU680 talks by itself once it was told to; telling
// it is not done here.
//
// Three more have to be asked. Each has a driver and a protocol of its own, which
// run only where the user has chosen them, and is asked every ten seconds:
//
//   - mhz19: the CO2 sensors MH-Z19, MH-Z19B and MH-Z19C of Winsen, 9600 8N1. The
//     maker describes CO2 only; the temperature of the sensor itself is read
//     where there is one.
//   - senseair: the CO2 sensor S8 of Senseair, Modbus at the address FE that any
//     sensor listens at, 9600 8N1. An answer does not say which registers it
//     holds: one of four is the measurement, one of six the identity.
//   - sps30: the dust sensor SPS30 of Sensirion, SHDLC, 115200 8N1. It is told to
//     measure first, and again after it has lost its power.
//
// Their answers stand alone, so a capture is read without the questions. The
// CO2 sensors can be told to take the air as it is for 400 ppm; whether they did
// is not asked. Nor does an MH-Z19 tell whether it calibrates itself: there is
// a button for either.
//
// A frame is published whole or not at all. It is thrown away, and counted with
// [serialbridge.Sink.Damaged], for one of these reasons:
//
//   - "checksum": the sum is wrong, or the last byte of an SDS frame is
//   - "syntax": the sum is right, but a value is one that the sensor cannot
//     measure, or the frame is none that a known sensor sends
//   - "too long": no end within the longest frame of SHDLC
//   - "no answer": a question had none in time, or one that was damaged
//
// What an SPS30 refuses is counted with [serialbridge.Sink.Ignored].
//
// # Which sensor it is
//
// Plantower's and Honeywell's frames of 32 bytes begin alike. They are told
// apart by what they say:
//
//   - Plantower counts particles larger than 0.3, 0.5, 1, 2.5, 5 and 10 µm:
//     no count can be larger than the one before. The PMS5003T has
//     temperature and humidity in place of the last two. If the last two
//     cannot be counts it is a PMS5003T, if they cannot be temperature
//     and humidity (5 % and more) it is another.
//   - Honeywell counts nothing; what is behind its two or four concentrations
//     is reserved and zero.
//
// A frame that may be of either of two sensors is of the one that spoke last; if
// there is none it is passed over, as are frames of nothing but zeros, which
// Plantower's sensors send while they start. The PMS5003S cannot be told from
// a PMS5003: it has formaldehyde where that has its version. It is read as a
// PMSx003, without formaldehyde.
//
// # Identity
//
// The ID is "airquality_" and the kind of the sensor, followed by what the sensor
// tells of itself: airquality_sds011_58D9 with the two bytes of an SDS,
// airquality_senseair_071F24D1 with the sensor ID of an S8, airquality_sps30_ with
// the serial number of an SPS30. The last two are asked for it first. Sensors that
// tell nothing, or zeros, are anonymous: airquality_pmsx003, airquality_pms3003,
// airquality_pms5003t, airquality_pms5003st, airquality_hpma115s0,
// airquality_hpma115c0, airquality_mcu680, airquality_mhz19.
//
// Sums of 8 and 16 bits let some damage pass, and a device is for ever. So
// nothing of a sensor is published before two frames in a row are its own.
//
// # Sources
//
// Honeywell, HPM Series 32322550 Issue F, tables 4 to 7. Winsen, MH-Z19B 1.6.
// Senseair, TDE2067, "Modbus on Senseair S8". Sensirion, SPS30 data sheet 1.0. The
// frames of the others as github.com/avaldebe/PyPMS reads them after the makers'
// data sheets and with captures; the PMS5003ST and the S8 have no capture.
//
// # Contract
//
// A decoder is not safe for concurrent use, starts no goroutine and calls its
// sink from Decode. It holds at most one frame, of 40 bytes or of 260 of SHDLC, and
// the last announcement of 64 devices. Run starts the goroutine of
// [serialbridge.Hear].
package airquality
