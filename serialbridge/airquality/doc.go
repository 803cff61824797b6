// Package airquality reads sensors of fine dust and of air quality that talk
// without being asked: the SDS011 and SDS198 of Nova Fitness, the PMSx003 family
// of Plantower, Honeywell's HPMA115, and the MCU680, a BME680 behind a
// microcontroller. All speak at 9600 8N1, in frames of fixed length with a
// header and a sum; which frame holds what is the table of forms. The MCU680
// talks by itself once it was told to; telling it is not done here.
//
// A frame is published whole or not at all. It is thrown away, and counted with
// [serialbridge.Sink.Damaged], for one of these reasons:
//
//   - "checksum": the sum is wrong, or the last byte of an SDS frame is
//   - "syntax": the sum is right, but a value is one that the sensor cannot
//     measure, or the frame is none that a known sensor sends
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
// The ID is "airquality_" and the kind of the sensor, followed for an SDS by the
// two bytes in which it tells its own id: airquality_sds011_58D9. The others
// tell none: airquality_pmsx003, airquality_pms3003, airquality_pms5003t,
// airquality_pms5003st, airquality_hpma115s0, airquality_hpma115c0,
// airquality_mcu680, and an SDS whose id is zero. Two such sensors of one
// kind are one device to the house.
//
// Sums of 8 and 16 bits let some damage pass, and a device is for ever. So
// nothing of a sensor is published before two frames in a row are its own.
//
// # Sources
//
// Honeywell, HPM Series 32322550 Issue F, tables 4 to 7. The frames of the
// others as github.com/avaldebe/PyPMS reads them after the makers' data sheets
// and with captures; the PMS5003ST has no capture.
//
// # Contract
//
// A decoder is not safe for concurrent use, starts no goroutine and calls its
// sink from Decode. It holds at most one frame of 40 bytes and the last
// announcement of 64 devices.
package airquality
