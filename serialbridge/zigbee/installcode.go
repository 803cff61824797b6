package zigbee

import (
	"context"
	"crypto/aes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"regexp"
	"strconv"

	"lintel/serialbridge/crc"
)

// The texts in which makers print install codes. What is left out stands before or
// after in the text of a QR code.
var installCodeTexts = []struct {
	pattern        *regexp.Regexp
	device, secret int // of the submatches
}{
	{regexp.MustCompile(`Z:([0-9A-Za-z]{16})\$I:([0-9A-Za-z]+)`), 1, 2}, // Ubisys, Danfoss, Inovelli, LEDVANCE
	{regexp.MustCompile(`^\|?([0-9A-Za-z]{16})\|([0-9A-Za-z]+)\|?$`), 1, 2},
	{regexp.MustCompile(`^G\$M:.+\$A:([0-9A-Za-z]{16})\$I:([0-9A-Za-z]+)$`), 1, 2}, // Aqara
	{regexp.MustCompile(`^HUE:Z:([0-9A-Za-z]+) M:([0-9A-Za-z]{16})`), 2, 1},
}

var errInstallCode = errors.New("zigbee: this is no install code with the address of its device; " +
	"scan the QR code of the device, or write ADDRESS|CODE with 16 and 16 to 36 hexadecimal digits")

// parseInstallCode reads a text that holds an address and an install code, and
// returns the code with its checksum.
func parseInstallCode(text string) (IEEEAddress, []byte, error) {
	device, secret := "", ""
	for _, t := range installCodeTexts {
		if m := t.pattern.FindStringSubmatch(text); m != nil {
			device, secret = m[t.device], m[t.secret]
			break
		}
	}
	// Two texts without marks: the code ends them, the address ends 3 before it.
	if n := map[int]int{95: 36, 91: 32}[len(text)]; n > 0 && device == "" {
		start := len(text) - n
		device, secret = text[start-19:start-3], text[start:]
	}
	address, err := strconv.ParseUint(device, 16, 64)
	if err != nil || len(device) != 16 {
		return 0, nil, errInstallCode
	}
	code, err := hex.DecodeString(secret)
	if err != nil {
		return 0, nil, errInstallCode
	}
	// A code has 6, 8, 12 or 16 bytes and two of checksum (Base Device Behavior,
	// section 10.1). One that lacks the checksum gets it, one whose checksum is wrong
	// gets the right one: makers have printed both.
	switch len(code) {
	case 8, 10, 14, 18:
		code = code[:len(code)-2]
	case 6, 12, 16:
	default:
		return 0, nil, errInstallCode
	}
	return IEEEAddress(address), binary.LittleEndian.AppendUint16(code, crc.X25(code)), nil
}

// hashMMO is the Matyas-Meyer-Oseas hash with AES-128 (Zigbee specification, annex B.6).
// It makes the link key of an install code with its checksum.
func hashMMO(message []byte) (hash [16]byte) {
	padded := append(append([]byte{}, message...), 0x80)
	for len(padded)%16 != 14 {
		padded = append(padded, 0)
	}
	bits := 8 * len(message)
	padded = append(padded, byte(bits>>8), byte(bits))
	for ; len(padded) > 0; padded = padded[16:] {
		block, err := aes.NewCipher(hash[:])
		if err != nil {
			panic(err) // a key of 16 bytes is always right
		}
		block.Encrypt(hash[:], padded[:16])
		for i := range hash {
			hash[i] ^= padded[i]
		}
	}
	return hash
}

// AddInstallCode lets a device join with its install code, in any of the texts that
// makers print on devices, and returns the address of the device.
func (n *Network) AddInstallCode(ctx context.Context, text string) (IEEEAddress, error) {
	device, code, err := parseInstallCode(text)
	if err != nil {
		return 0, err
	}
	s, err := n.started()
	if err != nil {
		return 0, err
	}
	return device, s.coordinator.AddInstallCode(ctx, device, hashMMO(code))
}
