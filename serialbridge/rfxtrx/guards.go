package rfxtrx

import "lintel/serialbridge"

// A guard is a subtype of Security1: a detector, a contact or the remote control
// of an alarm system. After the ID of three bytes stands the status.
type guard struct {
	name     string
	property serialbridge.Property
	says     map[byte]any // value by status, without tampered
}

// tampered is the bit of the status that says that somebody opens the device.
const tampered = 0x80

// Statuses of Security1 (RFXtrx User Guide).
const (
	statusNormal         = 0x00
	statusNormalDelayed  = 0x01
	statusAlarm          = 0x02
	statusAlarmDelayed   = 0x03
	statusMotion         = 0x04
	statusNoMotion       = 0x05
	statusPanic          = 0x06
	statusPanicEnd       = 0x07
	statusArmAway        = 0x09
	statusArmAwayDelayed = 0x0A
	statusArmHome        = 0x0B
	statusArmHomeDelayed = 0x0C
	statusDisarm         = 0x0D
	statusLightOff       = 0x10
	statusLightOn        = 0x11
	statusLight2Off      = 0x12
	statusLight2On       = 0x13
)

func tamper() serialbridge.Property {
	return serialbridge.Flag("tamper", "Tamper", "tamper").AsDiagnostic()
}

var (
	contact = guard{"contact", serialbridge.Flag("contact", "Contact", "opening"), map[byte]any{
		statusNormal: false, statusNormalDelayed: false, statusAlarm: true, statusAlarmDelayed: true}}
	motionDetector = guard{"motion detector", serialbridge.Flag("motion", "Motion", "motion"), map[byte]any{
		statusNormal: false, statusNormalDelayed: false, statusAlarm: true, statusAlarmDelayed: true,
		statusMotion: true, statusNoMotion: false}}
	smokeDetector = guard{"smoke detector", serialbridge.Flag("smoke", "Smoke", "smoke"), map[byte]any{
		statusNormal: false, statusNormalDelayed: false, statusAlarm: true, statusAlarmDelayed: true,
		statusPanic: true, statusPanicEnd: false}}
	alarmRemote = guard{"alarm remote", serialbridge.Property{Key: "action", Name: "Action", Kind: serialbridge.Event, Class: "button", Precision: -1,
		Options: []string{"panic", "panic_end", "arm_away", "arm_home", "disarm", "light_off", "light_on", "light_2_off", "light_2_on"}}, map[byte]any{
		statusPanic: "panic", statusPanicEnd: "panic_end", statusArmAway: "arm_away", statusArmAwayDelayed: "arm_away",
		statusArmHome: "arm_home", statusArmHomeDelayed: "arm_home", statusDisarm: "disarm",
		statusLightOff: "light_off", statusLightOn: "light_on", statusLight2Off: "light_2_off", statusLight2On: "light_2_on"}}
)

// guards are the subtypes of Security1.
var guards = map[byte]guard{
	0x00: contact,        // X10
	0x01: motionDetector, // X10
	0x02: alarmRemote,    // X10
	0x03: smokeDetector,  // KD101
	0x04: contact,        // Visonic PowerCode, primary contact
	0x05: motionDetector, // Visonic PowerCode
	0x06: alarmRemote,    // Visonic CodeSecure
	0x07: contact,        // Visonic PowerCode, auxiliary contact
	0x09: smokeDetector,  // SA30
	0x0A: smokeDetector,  // RM174RF
}
