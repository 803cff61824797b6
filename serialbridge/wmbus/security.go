package wmbus

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
)

// key is a meter's AES key.
type key [16]byte

// filler is the first two bytes of whatever was encrypted in modes 5 and 7: idle
// fillers that tell whether the key was the right one (EN 13757-7, 7.6.4).
var filler = []byte{0x2F, 0x2F}

// cmac is AES-CMAC (RFC 4493).
func cmac(k key, message []byte) [16]byte {
	block := mustCipher(k)
	var subkey, mac [16]byte
	block.Encrypt(subkey[:], subkey[:])
	double(&subkey) // K1
	for len(message) > len(mac) {
		subtle.XORBytes(mac[:], mac[:], message[:16])
		block.Encrypt(mac[:], mac[:])
		message = message[16:]
	}
	if len(message) < len(mac) {
		double(&subkey) // K2
		mac[len(message)] ^= 0x80
	}
	subtle.XORBytes(mac[:], mac[:], message)
	subtle.XORBytes(mac[:], mac[:], subkey[:])
	block.Encrypt(mac[:], mac[:])
	return mac
}

// double multiplies by x in the field of RFC 4493, 2.3.
func double(b *[16]byte) {
	carry := b[0] >> 7
	for i := range 15 {
		b[i] = b[i]<<1 | b[i+1]>>7
	}
	b[15] = b[15]<<1 ^ 0x87*carry
}

func mustCipher(k key) cipher.Block {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		panic(err) // 16 bytes are a key
	}
	return block
}

// What a derived key is for (EN 13757-7, 9.6.2).
const (
	encryptFromMeter = 0x00
	macFromMeter     = 0x01
)

// derive makes the key of one message: the key derivation function of EN 13757-7
// (9.6.2, KDF-A), over the purpose, the message counter and the meter's number.
func derive(k key, purpose byte, counter [4]byte, number [4]byte) key {
	message := []byte{purpose}
	message = append(message, counter[:]...)
	message = append(message, number[:]...)
	for len(message) < 16 {
		message = append(message, 0x07)
	}
	return key(cmac(k, message))
}

// decryptCBC decrypts the first blocks of b (all, if there are not so many). It
// returns nothing if the key was not the right one.
func decryptCBC(k key, iv [16]byte, b []byte, blocks int) []byte {
	n := min(len(b)/16, blocks) * 16
	if n == 0 {
		return nil
	}
	clear := bytes.Clone(b)
	cipher.NewCBCDecrypter(mustCipher(k), iv[:]).CryptBlocks(clear[:n], clear[:n])
	if !bytes.HasPrefix(clear, filler) {
		return nil
	}
	return clear
}

// mode5IV is the initialisation vector of mode 5: the meter's address and eight
// times the access number (EN 13757-7, 9.4.5).
func mode5IV(meter address, access byte) (iv [16]byte) {
	copy(iv[:], meter.bytes())
	for i := 8; i < len(iv); i++ {
		iv[i] = access
	}
	return iv
}

// decryptELL decrypts what is behind an extended link layer with session number:
// AES-CTR (EN 13757-4, 13.2.4). It begins with the CRC of the rest, which tells
// whether the key was the right one.
func decryptELL(k key, link address, control byte, session [4]byte, b []byte) []byte {
	var iv [16]byte
	copy(iv[:], link.bytes())
	// Repeaters change the bits for hops and repeated access.
	iv[8] = control &^ 0x12
	copy(iv[9:], session[:])
	clear := make([]byte, len(b))
	cipher.NewCTR(mustCipher(k), iv[:]).XORKeyStream(clear, b)
	if !payloadIntact(clear) {
		return nil
	}
	return clear
}

// payloadIntact checks the CRC that b begins with.
func payloadIntact(b []byte) bool {
	return len(b) > 2 && crcEN13757(b[2:]) == binary.LittleEndian.Uint16(b)
}
