package zcl

import (
	"encoding/binary"
	"fmt"
)

// Reporting is how an attribute is reported: a record of ConfigureReporting
// (section 2.5.7) or of the answer to ReadReportingConfiguration (2.5.10).
type Reporting struct {
	Status   Status // of an answer; the rest but Received and Attribute is only there on Success
	Received bool   // how the device expects to be told, instead of how it tells
	ID       uint16
	Type     Type
	Min, Max uint16 // seconds
	Change   any    // of an analog attribute
	Timeout  uint16 // seconds, of what is received
}

// AttributeStatus is what a device says of one attribute that it was to write or
// to report. When all went well there is one record without attribute.
type AttributeStatus struct {
	Status   Status
	Received bool
	ID       uint16
}

// ParseReporting reads the payload of ConfigureReporting or
// ReadReportingConfigurationResp.
func ParseReporting(command uint8, payload []byte) ([]Reporting, error) {
	var records []Reporting
	for len(payload) > 0 {
		var r Reporting
		if command == ReadReportingConfigurationResp {
			r.Status, payload = Status(payload[0]), payload[1:]
		}
		if len(payload) < 3 {
			return records, ErrShort
		}
		r.Received, r.ID = payload[0] != 0, binary.LittleEndian.Uint16(payload[1:])
		payload = payload[3:]
		switch {
		case r.Status != Success:
		case r.Received:
			if len(payload) < 2 {
				return records, ErrShort
			}
			r.Timeout, payload = binary.LittleEndian.Uint16(payload), payload[2:]
		default:
			if len(payload) < 5 {
				return records, ErrShort
			}
			r.Type = Type(payload[0])
			r.Min, r.Max = binary.LittleEndian.Uint16(payload[1:]), binary.LittleEndian.Uint16(payload[3:])
			payload = payload[5:]
			if r.Type.Analog() {
				var err error
				if r.Change, payload, err = ReadValue(r.Type, payload); err != nil {
					return records, fmt.Errorf("attribute 0x%04x: %w", r.ID, err)
				}
			}
		}
		records = append(records, r)
	}
	return records, nil
}

// AppendReporting appends the payload that [ParseReporting] reads.
func AppendReporting(data []byte, command uint8, records []Reporting) ([]byte, error) {
	for _, r := range records {
		if command == ReadReportingConfigurationResp {
			data = append(data, byte(r.Status))
		}
		data = appendDirection(data, r.Received, r.ID)
		switch {
		case command == ReadReportingConfigurationResp && r.Status != Success:
		case r.Received:
			data = binary.LittleEndian.AppendUint16(data, r.Timeout)
		default:
			data = append(data, byte(r.Type))
			data = binary.LittleEndian.AppendUint16(data, r.Min)
			data = binary.LittleEndian.AppendUint16(data, r.Max)
			if r.Type.Analog() {
				var err error
				if data, err = AppendValue(data, r.Type, r.Change); err != nil {
					return nil, fmt.Errorf("attribute 0x%04x: %w", r.ID, err)
				}
			}
		}
	}
	return data, nil
}

func appendDirection(data []byte, received bool, id uint16) []byte {
	var direction byte
	if received {
		direction = 1
	}
	return binary.LittleEndian.AppendUint16(append(data, direction), id)
}

// ParseReportingIDs reads the payload of ReadReportingConfiguration (section 2.5.9);
// of the records Received and ID are set.
func ParseReportingIDs(payload []byte) ([]AttributeStatus, error) {
	var records []AttributeStatus
	for ; len(payload) > 0; payload = payload[3:] {
		if len(payload) < 3 {
			return records, ErrShort
		}
		records = append(records, AttributeStatus{Received: payload[0] != 0, ID: binary.LittleEndian.Uint16(payload[1:])})
	}
	return records, nil
}

// AppendReportingIDs appends the payload of ReadReportingConfiguration for what the
// device reports.
func AppendReportingIDs(data []byte, ids ...uint16) []byte {
	for _, id := range ids {
		data = appendDirection(data, false, id)
	}
	return data
}

// ParseStatuses reads the payload of WriteAttributesResponse (section 2.5.5) or
// ConfigureReportingResponse (2.5.8).
func ParseStatuses(command uint8, payload []byte) ([]AttributeStatus, error) {
	var records []AttributeStatus
	if len(payload) == 0 {
		return nil, ErrShort
	}
	if Status(payload[0]) == Success {
		return []AttributeStatus{{}}, nil
	}
	for len(payload) > 0 {
		r := AttributeStatus{Status: Status(payload[0])}
		payload = payload[1:]
		if command == ConfigureReportingResponse && len(payload) > 0 {
			r.Received, payload = payload[0] != 0, payload[1:]
		}
		// Some devices leave out what failed: it is the status that counts.
		if len(payload) < 2 {
			return append(records, r), nil
		}
		r.ID, payload = binary.LittleEndian.Uint16(payload), payload[2:]
		records = append(records, r)
	}
	return records, nil
}

// AppendStatuses appends the payload that [ParseStatuses] reads.
func AppendStatuses(data []byte, command uint8, records []AttributeStatus) []byte {
	failed := false
	for _, r := range records {
		if r.Status == Success {
			continue
		}
		failed = true
		data = append(data, byte(r.Status))
		if command == ConfigureReportingResponse {
			data = appendDirection(data, r.Received, r.ID)
		} else {
			data = binary.LittleEndian.AppendUint16(data, r.ID)
		}
	}
	if !failed {
		data = append(data, byte(Success))
	}
	return data
}

// ParseDefaultResponse reads the payload of DefaultResponse (section 2.5.12).
func ParseDefaultResponse(payload []byte) (command uint8, status Status, err error) {
	if len(payload) < 2 {
		return 0, 0, ErrShort
	}
	return payload[0], Status(payload[1]), nil
}

// AppendDefaultResponse appends the payload of DefaultResponse.
func AppendDefaultResponse(data []byte, command uint8, status Status) []byte {
	return append(data, command, byte(status))
}

// ParseDiscover reads the payload of DiscoverAttributes (section 2.5.13).
func ParseDiscover(payload []byte) (first uint16, most uint8, err error) {
	if len(payload) < 3 {
		return 0, 0, ErrShort
	}
	return binary.LittleEndian.Uint16(payload), payload[2], nil
}

// AppendDiscover appends the payload of DiscoverAttributes.
func AppendDiscover(data []byte, first uint16, most uint8) []byte {
	return append(binary.LittleEndian.AppendUint16(data, first), most)
}

// ParseDiscovered reads the payload of DiscoverAttributesResponse (section
// 2.5.14); of the attributes ID and Type are set. Complete says that there are no more.
func ParseDiscovered(payload []byte) (complete bool, attributes []Attribute, err error) {
	if len(payload) < 1 {
		return false, nil, ErrShort
	}
	complete, payload = payload[0] != 0, payload[1:]
	for ; len(payload) > 0; payload = payload[3:] {
		if len(payload) < 3 {
			return complete, attributes, ErrShort
		}
		attributes = append(attributes, Attribute{ID: binary.LittleEndian.Uint16(payload), Type: Type(payload[2])})
	}
	return complete, attributes, nil
}

// AppendDiscovered appends the payload that [ParseDiscovered] reads.
func AppendDiscovered(data []byte, complete bool, attributes []Attribute) []byte {
	if complete {
		data = append(data, 1)
	} else {
		data = append(data, 0)
	}
	for _, a := range attributes {
		data = append(binary.LittleEndian.AppendUint16(data, a.ID), byte(a.Type))
	}
	return data
}
