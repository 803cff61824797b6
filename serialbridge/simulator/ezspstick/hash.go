package ezspstick

import (
	"crypto/aes"
	"encoding/binary"

	"lintel/serialbridge/zigbee"
)

// derived is the link key that the trust center has for a device: the HMAC of its
// address under the hashed key (Silicon Labs' security manager, derived type
// TC_HASHED_LINK_KEY).
func (s *Stick) derived(device zigbee.IEEEAddress) [16]byte {
	var inner, outer []byte
	for _, k := range s.tokens.linkKey {
		inner, outer = append(inner, k^0x36), append(outer, k^0x5c)
	}
	return mmo(append(outer, mmo(binary.LittleEndian.AppendUint64(inner, uint64(device)))...)).key()
}

type digest []byte

func (d digest) key() [16]byte { return [16]byte(d) }

// mmo is the hash of Zigbee, of 16*n+8 or 16*n bytes.
func mmo(message []byte) digest {
	bits := uint16(len(message) * 8)
	message = append(message[:len(message):len(message)], 0x80)
	for len(message)%16 != 14 {
		message = append(message, 0)
	}
	message = append(message, byte(bits>>8), byte(bits))
	state := make(digest, 16)
	for i := 0; i < len(message); i += 16 {
		cipher, err := aes.NewCipher(state)
		if err != nil {
			panic(err) // the key has 16 bytes
		}
		next := make(digest, 16)
		cipher.Encrypt(next, message[i:i+16])
		for k := range next {
			next[k] ^= message[i+k]
		}
		state = next
	}
	return state
}
