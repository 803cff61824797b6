package zcl

import "fmt"

// String is the status as the standard spells it.
func (s Status) String() string {
	if name, ok := statusNames[s]; ok {
		return name
	}
	return fmt.Sprintf("0x%02x", uint8(s))
}

var statusNames = map[Status]string{
	Success:               "SUCCESS",
	Failure:               "FAILURE",
	NotAuthorized:         "NOT_AUTHORIZED",
	MalformedCommand:      "MALFORMED_COMMAND",
	UnsupportedCommand:    "UNSUP_COMMAND",
	UnsupportedGeneral:    "UNSUP_GENERAL_COMMAND",
	InvalidField:          "INVALID_FIELD",
	UnsupportedAttribute:  "UNSUPPORTED_ATTRIBUTE",
	InvalidValue:          "INVALID_VALUE",
	ReadOnly:              "READ_ONLY",
	InsufficientSpace:     "INSUFFICIENT_SPACE",
	DuplicateExists:       "DUPLICATE_EXISTS",
	NotFound:              "NOT_FOUND",
	UnreportableAttribute: "UNREPORTABLE_ATTRIBUTE",
	InvalidDataType:       "INVALID_DATA_TYPE",
	InvalidSelector:       "INVALID_SELECTOR",
	WriteOnly:             "WRITE_ONLY",
	InconsistentStartup:   "INCONSISTENT_STARTUP_STATE",
	ActionDenied:          "ACTION_DENIED",
	Timeout:               "TIMEOUT",
	Abort:                 "ABORT",
	InvalidImage:          "INVALID_IMAGE",
	WaitForData:           "WAIT_FOR_DATA",
	NoImageAvailable:      "NO_IMAGE_AVAILABLE",
	RequireMoreImage:      "REQUIRE_MORE_IMAGE",
	HardwareFailure:       "HARDWARE_FAILURE",
	SoftwareFailure:       "SOFTWARE_FAILURE",
	CalibrationError:      "CALIBRATION_ERROR",
	UnsupportedCluster:    "UNSUPPORTED_CLUSTER",
}
