package zcl

import (
	"encoding/binary"
	"fmt"
)

// The global commands (section 2.5, table 2-3).
const (
	ReadAttributes                     = 0x00
	ReadAttributesResponse             = 0x01
	WriteAttributes                    = 0x02
	WriteAttributesUndivided           = 0x03
	WriteAttributesResponse            = 0x04
	WriteAttributesNoResponse          = 0x05
	ConfigureReporting                 = 0x06
	ConfigureReportingResponse         = 0x07
	ReadReportingConfiguration         = 0x08
	ReadReportingConfigurationResponse = 0x09
	ReportAttributes                   = 0x0a
	DefaultResponse                    = 0x0b
	DiscoverAttributes                 = 0x0c
	DiscoverAttributesResponse         = 0x0d
	ReadAttributesStructured           = 0x0e
	WriteAttributesStructured          = 0x0f
	WriteAttributesStructuredResponse  = 0x10
	DiscoverCommandsReceived           = 0x11
	DiscoverCommandsReceivedResponse   = 0x12
	DiscoverCommandsGenerated          = 0x13
	DiscoverCommandsGeneratedResponse  = 0x14
	DiscoverAttributesExtended         = 0x15
	DiscoverAttributesExtendedResponse = 0x16
)

// Status is a status enumeration (section 2.6.3, table 2-13).
type Status uint8

// The statuses that the house tells apart.
const (
	Success               Status = 0x00
	Failure               Status = 0x01
	NotAuthorized         Status = 0x7e
	MalformedCommand      Status = 0x80
	UnsupportedCommand    Status = 0x81
	UnsupportedGeneral    Status = 0x82
	InvalidField          Status = 0x85
	UnsupportedAttribute  Status = 0x86
	InvalidValue          Status = 0x87
	ReadOnly              Status = 0x88
	InsufficientSpace     Status = 0x89
	DuplicateExists       Status = 0x8a
	NotFound              Status = 0x8b
	UnreportableAttribute Status = 0x8c
	InvalidDataType       Status = 0x8d
	InvalidSelector       Status = 0x8e
	WriteOnly             Status = 0x8f
	InconsistentStartup   Status = 0x90
	ActionDenied          Status = 0x93
	Timeout               Status = 0x94
	Abort                 Status = 0x95
	InvalidImage          Status = 0x96
	WaitForData           Status = 0x97
	NoImageAvailable      Status = 0x98
	RequireMoreImage      Status = 0x99
	HardwareFailure       Status = 0xc0
	SoftwareFailure       Status = 0xc1
	CalibrationError      Status = 0xc2
	UnsupportedCluster    Status = 0xc3
)

// Attribute is one attribute as a report, a read response or a write carries it.
type Attribute struct {
	ID     uint16
	Status Status // of a read response; Success in what carries none
	Type   Type
	Value  any // see [ReadValue]; nil unless Status is Success
}

// ParseAttributes reads the payload of ReadAttributesResponse, ReportAttributes,
// and the WriteAttributes commands (sections 2.5.2, 2.5.3, 2.5.11). Attributes
// before one that cannot be read are returned together with the error: Tuya and
// Aqara devices end a good frame with bytes that are of no type.
func ParseAttributes(command uint8, payload []byte) ([]Attribute, error) {
	var attributes []Attribute
	for len(payload) > 0 {
		if len(payload) < 3 {
			return attributes, ErrShort
		}
		a := Attribute{ID: binary.LittleEndian.Uint16(payload)}
		payload = payload[2:]
		if command == ReadAttributesResponse {
			a.Status, payload = Status(payload[0]), payload[1:]
			if a.Status != Success {
				attributes = append(attributes, a)
				continue
			}
			if len(payload) == 0 {
				return attributes, ErrShort
			}
		}
		a.Type = Type(payload[0])
		var err error
		a.Value, payload, err = ReadValue(a.Type, payload[1:])
		if err != nil {
			return attributes, fmt.Errorf("attribute 0x%04x: %w", a.ID, err)
		}
		attributes = append(attributes, a)
	}
	return attributes, nil
}

// AppendAttributes appends the payload that [ParseAttributes] reads.
func AppendAttributes(data []byte, command uint8, attributes []Attribute) ([]byte, error) {
	for _, a := range attributes {
		data = binary.LittleEndian.AppendUint16(data, a.ID)
		if command == ReadAttributesResponse {
			data = append(data, byte(a.Status))
			if a.Status != Success {
				continue
			}
		}
		data = append(data, byte(a.Type))
		var err error
		if data, err = AppendValue(data, a.Type, a.Value); err != nil {
			return nil, fmt.Errorf("attribute 0x%04x: %w", a.ID, err)
		}
	}
	return data, nil
}

// ParseIDs reads the payload of ReadAttributes.
func ParseIDs(payload []byte) ([]uint16, error) {
	if len(payload)%2 != 0 {
		return nil, ErrShort
	}
	ids := make([]uint16, 0, len(payload)/2)
	for ; len(payload) > 0; payload = payload[2:] {
		ids = append(ids, binary.LittleEndian.Uint16(payload))
	}
	return ids, nil
}

// AppendIDs appends the payload of ReadAttributes.
func AppendIDs(data []byte, ids ...uint16) []byte {
	for _, id := range ids {
		data = binary.LittleEndian.AppendUint16(data, id)
	}
	return data
}
