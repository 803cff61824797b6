package wmbus

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestCRC uses the check values of the catalogue of CRC algorithms.
func TestCRC(t *testing.T) {
	check := []byte("123456789")
	if crc := crcEN13757(check); crc != 0xC2B7 {
		t.Errorf("EN 13757: %04X", crc)
	}
	if x := xorOf(check); x != 0x31 {
		t.Errorf("XOR: %02X", x)
	}
}

// TestCMAC has the examples of RFC 4493, 4.
func TestCMAC(t *testing.T) {
	k := key(unhex(t, "2b7e151628aed2a6abf7158809cf4f3c"))
	message := unhex(t, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	for n, want := range map[int]string{
		0:  "bb1d6929e95937287fa37d129b756746",
		16: "070a16b46b4d4144f79bdd9dd04a287c",
		40: "dfa66747de9ae63030ca32611497c827",
		64: "51f0bebf7e3b9d92fc49741779363cfe",
	} {
		if mac := cmac(k, message[:n]); hex.EncodeToString(mac[:]) != want {
			t.Errorf("%d bytes: %x, want %s", n, mac, want)
		}
	}
}

// TestDerive has the keys that CEN/TR 17167:2018, F.3 tells.
func TestDerive(t *testing.T) {
	k := key(unhex(t, "000102030405060708090A0B0C0D0E0F"))
	counter, number := [4]byte{0xB3, 0x0A}, [4]byte{0x78, 0x56, 0x34, 0x12}
	for purpose, want := range map[byte]string{
		encryptFromMeter: "ECCF39D475D730B8284FDFDC1995D52F",
		macFromMeter:     "C9CD19FF5A9AAD5A6BBDA13BD2C4C7AD",
	} {
		if got := derive(k, purpose, counter, number); !bytes.Equal(got[:], unhex(t, want)) {
			t.Errorf("%d: %X, want %s", purpose, got, want)
		}
	}
}

const (
	testMeter = "wmbus_KAM_12345678"
	testKey   = "00112233445566778899AABBCCDDEEFF"
)

// testLink is C, M and A of a water meter, KAM 12345678.
var testLink = []byte{cSendNoReply, 0x2D, 0x2C, 0x78, 0x56, 0x34, 0x12, 0x01, 0x07}

// mode5 is a telegram of that meter with records encrypted in mode 5.
func mode5(t testing.TB, access byte, records []byte) []byte {
	b := append(slices.Clone(filler), records...)
	for len(b)%16 != 0 {
		b = append(b, difIdle)
	}
	iv := mode5IV(linkAddress(testLink[1:]), access)
	block, err := aes.NewCipher(unhex(t, testKey))
	if err != nil {
		t.Fatal(err)
	}
	cipher.NewCBCEncrypter(block, iv[:]).CryptBlocks(b, b)
	return append(append(slices.Clone(testLink), ciShort, access, 0, byte(len(b)/16)<<4, 5), b...)
}

// inClear is a telegram of that meter with records in clear.
func inClear(access byte, records ...byte) []byte {
	return append(append(slices.Clone(testLink), ciShort, access, 0, 0, 0), records...)
}

var volume = []byte{0x04, 0x13, 0xD2, 0x04, 0x00, 0x00} // 1.234 m³

func TestKeys(t *testing.T) {
	with := func(keys ...string) Options {
		o := Options{Keys: make(map[string]string)}
		for i := 0; i < len(keys); i += 2 {
			o.Keys[keys[i]] = keys[i+1]
		}
		return o
	}
	_, kamstrup := examples(t)
	ell := unhex(t, kamstrup["encrypted"].Hex)[1:]
	radio, _ := examples(t)
	b := radio[1] // security profile B
	const wrong = "FF112233445566778899AABBCCDDEEFF"
	for _, test := range []struct {
		name  string
		o     Options
		frame []byte
		want  string // reason; empty: a reading
	}{
		{"right key", with("12345678", testKey), amberFrame(mode5(t, 1, volume), false), ""},
		{"right key, with letters", with("kam12345678", strings.ToLower(testKey)), amberFrame(mode5(t, 1, volume), false), ""},
		{"one of two", with("12345678", wrong, "KAM12345678", testKey), amberFrame(mode5(t, 1, volume), false), ""},
		{"of another maker", with("ELS12345678", testKey), amberFrame(mode5(t, 1, volume), false),
			"meter 12345678 (KAM) is encrypted: its key is needed"},
		{"none", Options{}, amberFrame(mode5(t, 1, volume), false),
			"meter 12345678 (KAM) is encrypted: its key is needed"},
		{"wrong", with("12345678", wrong), amberFrame(mode5(t, 1, volume), false),
			"meter 12345678 (KAM) is encrypted, and the key given for it is not the right one"},
		{"right bytes, but no records", with("12345678", testKey), amberFrame(mode5(t, 1, []byte{0x04, 0x13, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F}), false),
			"meter 12345678 (KAM) is encrypted, and the key given for it is not the right one"},
		{"in clear with a key", with("12345678", testKey), amberFrame(inClear(1, volume...), false),
			"meter 12345678 (KAM) is not encrypted although a key is given for it: take the key away if that is right"},
		{"in clear", Options{}, amberFrame(inClear(1, volume...), false), ""},
		{"extended link layer, none", Options{}, amberFrame(ell, false),
			"meter 76348799 (KAM) is encrypted: its key is needed"},
		{"extended link layer, wrong", with("76348799", wrong), amberFrame(ell, false),
			"meter 76348799 (KAM) is encrypted, and the key given for it is not the right one"},
		{"mode 7, none", Options{}, b.line(), "meter 12345678 (ELS) is encrypted: its key is needed"},
		{"mode 7, wrong", with("12345678", wrong), b.line(), "meter 12345678 (ELS) is encrypted, and the key given for it is not the right one"},
		{"mode 9", Options{}, amberFrame(append(slices.Clone(testLink), ciShort, 1, 0, 0, 9, 1, 2, 3), false),
			"meter 12345678 (KAM) is encrypted in a way that is not known: security mode 9"},
	} {
		r := &recorder{}
		newDecoder(r, test.o).Decode(test.frame, received)
		var want []string
		readings := 1
		if test.want != "" {
			want, readings = []string{test.want}, 0
		}
		if !slices.Equal(r.Overheard, want) || len(r.Damage) > 0 || len(r.Readings) != readings {
			t.Errorf("%s: ignored %q, want %q; damaged %q; %d readings", test.name, r.Overheard, want, r.Damage, len(r.Readings))
		}
	}
}

// TestMAC changes each byte of a telegram whose MAC is checked.
func TestMAC(t *testing.T) {
	radio, _ := examples(t)
	e := radio[1]
	telegram, ok := stripA(unhex(t, e.Hex))
	if !ok {
		t.Fatal("CRC")
	}
	for i := linkLayer; i < len(telegram); i++ {
		bad := slices.Clone(telegram)
		bad[i] ^= 0x10
		r := &recorder{}
		newDecoder(r, e.options()).Decode(amberFrame(bad, false), received)
		// Control and access number of the extended link layer are nobody's.
		if free := i == linkLayer+1 || i == linkLayer+2; len(r.Readings) > 0 != free {
			t.Errorf("byte %d changed: %d readings", i, len(r.Readings))
		}
	}
}

func TestOptions(t *testing.T) {
	for _, test := range []struct {
		o    Options
		want string // part of the message; empty: right
	}{
		{Options{}, ""},
		{Options{Receiver: "cul", Mode: "t"}, ""},
		{Options{Keys: map[string]string{"12345678": testKey, "kam 1234 5678": testKey}, Only: []string{"12345678", "KAM12345678", "004444dd"}}, ""},
		{Options{Receiver: "rtl"}, `receiver is "rtl"`},
		{Options{Mode: "C1"}, `mode is "C1"`},
		{Options{Keys: map[string]string{"1234567": testKey}}, `"1234567" is not the number of a meter`},
		{Options{Keys: map[string]string{"K4M12345678": testKey}}, `is not the number of a meter`},
		{Options{Keys: map[string]string{"12345678": testKey[1:]}}, `the key of "12345678" is not 32 hex digits`},
		{Options{Keys: map[string]string{"12345678": strings.Repeat("x", 32)}}, `the key of "12345678" is not 32 hex digits`},
		{Options{Keys: map[string]string{"kam12345678": testKey, "KAM12345678": testKey}}, "are the same meter"},
		{Options{Only: []string{"meter"}}, `only: "meter" is not the number of a meter`},
	} {
		err := test.o.Check()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%+v: %v, want %q", test.o, err, test.want)
		}
		if err != nil && strings.Contains(fmt.Sprint(err), testKey[1:]) {
			t.Errorf("tells the key: %v", err)
		}
	}
}
