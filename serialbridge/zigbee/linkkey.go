package zigbee

import "encoding/binary"

// HashedLinkKey returns the link key that a trust center with hashed link keys, as
// EmberZNet is one, has for a device: the keyed hash of the device's address under
// the one key that the trust center keeps (Backup.TCLinkKeyHashed).
func HashedLinkKey(root [16]byte, device IEEEAddress) [16]byte {
	return keyedHash(root, binary.LittleEndian.AppendUint64(nil, uint64(device)))
}

// keyedHash is HMAC over the hash of Zigbee (Zigbee specification, annex B.1.4).
func keyedHash(key [16]byte, data []byte) [16]byte {
	var inner, outer [16]byte
	for i, k := range key {
		inner[i], outer[i] = k^0x36, k^0x5c
	}
	digest := hashMMO(append(inner[:], data...))
	return hashMMO(append(outer[:], digest[:]...))
}
