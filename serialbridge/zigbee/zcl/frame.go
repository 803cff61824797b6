package zcl

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// FrameType says what a command identifier is one of (section 2.4.1.1.1).
type FrameType uint8

// The types of frames.
const (
	Global   FrameType = 0 // works on attributes, the same in every cluster
	Specific FrameType = 1 // of the cluster that the frame is for
)

// Frame is a ZCL frame (section 2.4.1).
type Frame struct {
	Type FrameType
	// ServerToClient is the direction. What a sensor reports is of the server.
	ServerToClient         bool
	DisableDefaultResponse bool
	// ManufacturerCode is 0 for what the standard defines.
	ManufacturerCode uint16
	Sequence         uint8
	Command          uint8
	Payload          []byte
}

// ErrShort is why a frame or a value ends too early.
var ErrShort = errors.New("zcl: the frame ends too early")

// Bits of the frame control field (figure 2-3).
const (
	controlType            = 0x03
	controlManufacturer    = 0x04
	controlServerToClient  = 0x08
	controlDisableResponse = 0x10
)

// ParseFrame reads a frame. The payload is a copy.
func ParseFrame(data []byte) (Frame, error) {
	if len(data) < 3 {
		return Frame{}, ErrShort
	}
	control := data[0]
	f := Frame{
		Type:                   FrameType(control & controlType),
		ServerToClient:         control&controlServerToClient != 0,
		DisableDefaultResponse: control&controlDisableResponse != 0,
	}
	if f.Type > Specific {
		return Frame{}, fmt.Errorf("zcl: frame type %d is reserved", f.Type)
	}
	data = data[1:]
	if control&controlManufacturer != 0 {
		if len(data) < 4 {
			return Frame{}, ErrShort
		}
		f.ManufacturerCode = binary.LittleEndian.Uint16(data)
		data = data[2:]
	}
	f.Sequence, f.Command = data[0], data[1]
	if len(data) > 2 {
		f.Payload = append([]byte(nil), data[2:]...)
	}
	return f, nil
}

// Append appends the frame as it goes over the air.
func (f Frame) Append(data []byte) []byte {
	control := byte(f.Type) & controlType
	if f.ManufacturerCode != 0 {
		control |= controlManufacturer
	}
	if f.ServerToClient {
		control |= controlServerToClient
	}
	if f.DisableDefaultResponse {
		control |= controlDisableResponse
	}
	data = append(data, control)
	if f.ManufacturerCode != 0 {
		data = binary.LittleEndian.AppendUint16(data, f.ManufacturerCode)
	}
	data = append(data, f.Sequence, f.Command)
	return append(data, f.Payload...)
}
