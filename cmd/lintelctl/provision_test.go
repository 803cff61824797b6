//go:build linux

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lintel/gateway"
	"lintel/gateway/settings"
)

// mtools runs a program of mtools(1), the real thing for FAT.
func mtools(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("LINTEL_NEED_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
	return out
}

func openRW(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// What is written can be read by others, is the only thing that changes, and may be written again.
func TestWriteToFAT(t *testing.T) {
	for _, kind := range []struct {
		name    string
		sectors int
		args    []string
		bits    int
	}{
		{"FAT12", 8000, []string{"-c", "4"}, 12},
		{"FAT16", 65536, []string{"-c", "4"}, 16},
		{"FAT32", 140000, []string{"-F", "-c", "1"}, 32},
	} {
		t.Run(kind.name, func(t *testing.T) {
			image := filepath.Join(t.TempDir(), "fat.img")
			if err := os.WriteFile(image, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(image, int64(kind.sectors)*512); err != nil {
				t.Fatal(err)
			}
			mtools(t, "mformat", append(kind.args, "-i", image, "-T", fmt.Sprint(kind.sectors), "-h", "16", "-s", "63", "::")...)
			others := make(map[string][]byte)
			random := rand.NewChaCha8([32]byte{2})
			for i := range 12 {
				content := make([]byte, 700*i+1)
				random.Read(content)
				name := fmt.Sprintf("Some long name of file %d.txt", i)
				mtools(t, "mcopy", "-i", image, write(t, "other", content), "::/"+name)
				if i%3 == 0 { // so that what is free lies in pieces
					mtools(t, "mdel", "-i", image, "::/"+name)
				} else {
					others[name] = content
				}
			}
			f := openRW(t, image)
			file, err := openFAT(f)
			if err != nil || file.bits != kind.bits {
				t.Fatalf("%+v, %v", file, err)
			}
			for _, text := range []string{"[claim]\n", strings.Repeat("secret! ", 900), "", strings.Repeat("x", 4096), "[claim] # and no more\n"} {
				if err := file.writeFile(preseedFile, preseedShort, []byte(text)); err != nil {
					t.Fatal(err)
				}
				if got := mtools(t, "mtype", "-i", image, "::/"+preseedFile); string(got) != text {
					t.Fatalf("%d bytes came back of %d", len(got), len(text))
				}
				for name, want := range others {
					if got := mtools(t, "mtype", "-i", image, "::/"+name); !bytes.Equal(got, want) {
						t.Fatalf("%s was damaged", name)
					}
				}
			}
			if n := strings.Count(string(mtools(t, "mdir", "-b", "-i", image, "::/")), preseedFile); n != 1 {
				t.Errorf("it is there %d times", n)
			}
			if all, err := os.ReadFile(image); err != nil || bytes.Contains(all, []byte("secret! ")) {
				t.Errorf("what was overwritten can still be read: %v", err)
			}
			if fsck, err := exec.LookPath("fsck.fat"); err == nil {
				if out, err := exec.Command(fsck, "-n", image).CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			}
			// Until it is full: then it says so, and nothing is damaged.
			if err := file.writeFile("too large.bin", "TOOLAR~1BIN", make([]byte, kind.sectors*512)); err == nil || !strings.Contains(err.Error(), "full") {
				t.Error(err)
			}
			if got := mtools(t, "mtype", "-i", image, "::/"+preseedFile); string(got) != "[claim] # and no more\n" {
				t.Errorf("%q", got)
			}
		})
	}
}

// cardImage is a disk whose first partition has a FAT.
func cardImage(t *testing.T) string {
	t.Helper()
	const start, sectors = 8192, 65536
	image := filepath.Join(t.TempDir(), "lintel.img")
	b := make([]byte, (start+sectors)*512)
	b[510], b[511] = 0x55, 0xAA
	copy(b[446:], []byte{0x80, 0, 0, 0, 0x0C, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 1, 0}) // at 8192, 65536 sectors
	if err := os.WriteFile(image, b, 0o600); err != nil {
		t.Fatal(err)
	}
	mtools(t, "mformat", "-i", image+"@@4194304", "-T", fmt.Sprint(sectors), "-h", "16", "-s", "63", "::")
	return image
}

// A box is given to its owner by what was written to an image, a folder and a card.
func TestProvision(t *testing.T) {
	password := write(t, "password", []byte("three words suffice\n"))
	wifi := write(t, "wifi", []byte("wifi password\n"))
	more := write(t, "more.toml", []byte("[log]\nlevel = \"warn\"\n[network.wifi]\nhidden = true\n"))
	flags := []string{"provision", "--password-file", password, "--name", "Shed", "--host", "shed", "--wifi-ssid", "House", "--wifi-password-file", wifi,
		"--wifi-country", "DE", "--file", more}
	folder := t.TempDir()
	if status, _, said := statusOf("", append(flags, folder)...); status != 0 {
		t.Fatal(said)
	}
	text, err := os.ReadFile(filepath.Join(folder, preseedFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"password_hash = \"$argon2id$v=19$m=19456,t=2,p=1$", "name = \"Shed\"", "host = \"shed\"", "ssid = \"House\"", "password = \"wifi password\"",
		"country = \"DE\"", "hidden = true", "level = \"warn\""} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "three words") {
		t.Error("the password of the owner is in it")
	}

	image := cardImage(t)
	if status, out, said := statusOf("", append(flags, image)...); status != 0 || !strings.Contains(out, image) {
		t.Fatal(out, said)
	}
	if got := string(mtools(t, "mtype", "-i", image+"@@4194304", "::/"+preseedFile)); !strings.Contains(got, "name = \"Shed\"") {
		t.Errorf("%s", got)
	}

	device := loopDevice(t, (8192+65536)*512)
	b, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(device, b, 0o600); err != nil {
		t.Fatal(err)
	}
	k := provisionOf(func() ([]drive, error) {
		return []drive{{Name: "card", Path: device, Size: 1 << 30, Removable: true}, {Name: "disk", Path: device, Size: 1 << 30}}, nil
	})
	var out, diagnostics bytes.Buffer
	if err := k.run([]string{"--password-file", password, "--name", "Barn", "card"}, &call{strings.NewReader("card\n"), &out, &diagnostics}); err != nil {
		t.Fatal(err, &diagnostics)
	}
	if got := string(mtools(t, "mtype", "-i", device+"@@4194304", "::/"+preseedFile)); !strings.Contains(got, "name = \"Barn\"") {
		t.Errorf("%s", got)
	}
	if err := k.run([]string{"--password-file", password, "disk"}, &call{strings.NewReader("disk\n"), &out, &diagnostics}); err == nil || !strings.Contains(err.Error(), "not removable") {
		t.Error(err)
	}
}

// The box obeys what provision writes: its hash lets the owner in.
func TestProvisionedBox(t *testing.T) {
	password := write(t, "password", []byte("three words suffice"))
	folder := t.TempDir()
	if status, _, said := statusOf("", "provision", "--password-file", password, "--name", "Shed", folder); status != 0 {
		t.Fatal(said)
	}
	address := runBox(t, gateway.Options{Data: folder, Card: settings.ReadCard(settings.CardOptions{Data: folder, Config: filepath.Join(folder, "lintel.toml")})}, func(*settings.Config) {}).http
	answer, err := http.Post(address+"/api/login", "application/json", strings.NewReader(`{"user": "admin", "password": "three words suffice"}`))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("the login answers %s", answer.Status)
	}
	if _, err := os.Stat(filepath.Join(folder, preseedFile)); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
	if status, _, said := statusOf("", "provision", "--password-file", password, "--box", address); status != 1 || !strings.Contains(said, "claimed") {
		t.Errorf("claimed again: status %d, %s", status, said)
	}
	fresh := runBox(t, gateway.Options{Data: t.TempDir()}, func(*settings.Config) {}).http
	if status, out, said := statusOf("", "provision", "--password-file", password, "--box", fresh); status != 0 || !strings.Contains(out, "admin") {
		t.Errorf("status %d, %s %s", status, out, said)
	}
}

func TestWrongCallsOfProvision(t *testing.T) {
	password := write(t, "password", []byte("three words suffice"))
	twice := write(t, "twice.toml", []byte("[mdns]\nhost = \"a\"\n"))
	for args, want := range map[string]int{
		"":                                     2,
		"x":                                    2,
		"--password-file " + password:          2,
		"--password-file " + password + " a b": 2,
		"--password-file " + password + " --box http://lintel.local a":                    2,
		"--password-file " + password + " --box http://lintel.local --host a":             2,
		"--file " + twice + " --host b " + filepath.Dir(twice):                            2,
		"--password-file " + password + " --file " + password + " " + filepath.Dir(twice): 1,
		"--password-file " + password + " " + twice:                                       1, // has no FAT
	} {
		if status, _, said := statusOf("", append([]string{"provision"}, strings.Fields(args)...)...); status != want {
			t.Errorf("provision %s: status %d, %s", args, status, said)
		}
	}
}

// memory is a disk.
type memory []byte

func (m memory) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > int64(len(m)) {
		return 0, os.ErrInvalid
	}
	return copy(p, m[off:]), nil
}

func (m memory) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > int64(len(m)) {
		return 0, os.ErrInvalid
	}
	return copy(m[off:], p), nil
}

// A card with anything on it makes no panic and no endless loop.
func FuzzFAT(f *testing.F) {
	for _, bits := range []byte{12, 16, 32} {
		b := make([]byte, 64<<10)
		copy(b, []byte{0xEB, 0, 0, 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 0, 2, 1, 1, 0, 1, 16, 0, 100, 0, 0xF8, 1, 0})
		if bits == 32 {
			copy(b[17:], []byte{0, 0, 0, 0, 0xF8, 0, 0})
			copy(b[32:], []byte{0, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1})
		}
		b[510], b[511] = 0x55, 0xAA
		f.Add(b[:2048])
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		b := make(memory, 256<<10)
		copy(b, head)
		file, err := openFAT(b)
		if err != nil {
			return
		}
		file.writeFile(preseedFile, preseedShort, []byte("[claim]\n"))
	})
}
