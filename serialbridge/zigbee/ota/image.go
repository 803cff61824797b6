package ota

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

const (
	maxImage = 8 << 20
	// fileIdentifier begins an image (section 11.4.2.1).
	fileIdentifier = 0x0beef11e
	headerSize     = 56 // without the fields that may be missing
)

// Header is what an image says of itself (section 11.4.2).
type Header struct {
	ManufacturerCode, ImageType uint16
	FileVersion                 uint32
	StackVersion                uint16
	Text                        string
	// MinHardware and MaxHardware are the hardware versions that it is for; nil: all.
	MinHardware, MaxHardware *uint16
}

// Image is the firmware of a device.
type Image struct {
	Header
	// Data is what the device fetches, header and all.
	Data []byte
}

// ParseImage reads an image. What stands before its header, as vendors wrap it in,
// is left out.
func ParseImage(data []byte) (*Image, error) {
	start := bytes.Index(data, binary.LittleEndian.AppendUint32(nil, fileIdentifier))
	if start < 0 {
		return nil, errors.New("ota: the file is no image of firmware for Zigbee devices")
	}
	data = data[start:]
	if len(data) < headerSize {
		return nil, errors.New("ota: the image ends in its header")
	}
	le := binary.LittleEndian
	length, control, size := int(le.Uint16(data[6:])), le.Uint16(data[8:]), le.Uint32(data[52:])
	i := &Image{Header: Header{
		ManufacturerCode: le.Uint16(data[10:]),
		ImageType:        le.Uint16(data[12:]),
		FileVersion:      le.Uint32(data[14:]),
		StackVersion:     le.Uint16(data[18:]),
		Text:             strings.TrimRight(strings.ToValidUTF8(string(data[20:52]), "?"), "\x00 "),
	}}
	if size > maxImage || int(size) > len(data) || length < headerSize || length > int(size) {
		return nil, fmt.Errorf("ota: the image says that it has %d bytes, and has %d", size, len(data))
	}
	rest := data[headerSize:length]
	skip := func(n int) []byte {
		if len(rest) < n {
			return nil
		}
		field := rest[:n]
		rest = rest[n:]
		return field
	}
	if control&1 != 0 {
		skip(1) // security credential version
	}
	if control&2 != 0 {
		skip(8) // the one device that it is for
	}
	if control&4 != 0 {
		if f := skip(4); f != nil {
			low, high := le.Uint16(f), le.Uint16(f[2:])
			i.MinHardware, i.MaxHardware = &low, &high
		}
	}
	i.Data = bytes.Clone(data[:size])
	return i, nil
}
