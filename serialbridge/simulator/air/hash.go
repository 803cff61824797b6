package air

import "crypto/aes"

// Hash is the Matyas-Meyer-Oseas hash with AES of the Zigbee specification (B.6), of which
// sticks make link keys.
func Hash(message []byte) (sum [16]byte) {
	padded := append(append([]byte(nil), message...), 0x80)
	for len(padded)%16 != 14 {
		padded = append(padded, 0)
	}
	bits := len(message) * 8
	padded = append(padded, byte(bits>>8), byte(bits))
	for ; len(padded) > 0; padded = padded[16:] {
		block, err := aes.NewCipher(sum[:])
		if err != nil {
			panic(err) // the key has 16 bytes
		}
		block.Encrypt(sum[:], padded[:16])
		for i := range sum {
			sum[i] ^= padded[i]
		}
	}
	return sum
}
