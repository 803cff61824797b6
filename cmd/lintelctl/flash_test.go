//go:build linux

package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// loopDevice makes a disk of a file and returns its path.
func loopDevice(t *testing.T, size int64) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", file).CombinedOutput()
	if err != nil {
		if os.Getenv("LINTEL_NEED_ALL") == "1" && os.Getuid() == 0 {
			t.Fatal(err, string(out))
		}
		t.Skip("no loop devices here: ", err)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			t.Error(err, string(out))
		}
	})
	return device
}

// testImage is an image of some size that is no multiple of a sector or of a chunk.
func testImage(size int) []byte {
	b := make([]byte, size)
	random := rand.NewChaCha8([32]byte{1})
	random.Read(b[:min(size, 3<<20)])
	b[510], b[511] = 0x55, 0xAA
	return b
}

func write(t *testing.T, name string, b []byte) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// flashed runs the command on drives and returns its status, and what it prints and says.
func flashed(list []drive, in string, args ...string) (status int, out, said string) {
	k := flashOf(func() ([]drive, error) { return append([]drive(nil), list...), nil })
	var printed, diagnostics bytes.Buffer
	status, say := exitStatus(k.run(args, &call{strings.NewReader(in), &printed, &diagnostics}))
	if say != nil {
		fmt.Fprintln(&diagnostics, say)
	}
	return status, printed.String(), diagnostics.String()
}

func TestFlash(t *testing.T) {
	const size = 9<<20 + 700
	image := testImage(size)
	device := loopDevice(t, 12<<20)
	card := []drive{{Name: "card", Path: device, Size: 12 << 20, Removable: true, Model: "Test card"}}

	var gz, zst bytes.Buffer
	z := gzip.NewWriter(&gz)
	z.Write(image)
	z.Close()
	e, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	e.Write(image)
	e.Close()
	files := map[string]string{"raw": write(t, "lintel.img", image), "gzip": write(t, "lintel.img.gz", gz.Bytes()), "zstd": write(t, "lintel.img.zst", zst.Bytes())}
	if _, err := exec.LookPath("xz"); err == nil {
		packed := exec.Command("xz", "-0", "--stdout", files["raw"])
		b, err := packed.Output()
		if err != nil {
			t.Fatal(err)
		}
		files["xz"] = write(t, "lintel.img.xz", b)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/lintel.img.zst", "/bare.img.zst":
			w.Write(zst.Bytes())
		case "/lintel.img.zst.sha256":
			fmt.Fprintf(w, "%x  lintel.img.zst\n", sha256.Sum256(zst.Bytes()))
		default:
			http.NotFound(w, r)
		}
	}))
	defer web.Close()
	files["URL"] = web.URL + "/lintel.img.zst"

	for name, file := range files {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(device, bytes.Repeat([]byte{0xEE}, 12<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			status, out, said := flashed(card, "card\n", file, "card")
			if status != 0 || !strings.Contains(out, "was read back") || !strings.Contains(said, "Type card to go on") {
				t.Fatalf("status %d, %s, %s", status, out, said)
			}
			got, err := os.ReadFile(device)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got[:size], image) {
				t.Error("the card does not have the image")
			}
			if end := (size + 511) &^ 511; !bytes.Equal(got[end:], bytes.Repeat([]byte{0xEE}, 12<<20-end)) {
				t.Error("more was written than the image")
			}
		})
	}

	// What must not be written is not begun.
	before := bytes.Repeat([]byte{0xDD}, 12<<20)
	if err := os.WriteFile(device, before, 0o600); err != nil {
		t.Fatal(err)
	}
	busy, system, fixed := card[0], card[0], card[0]
	busy.Name, busy.Mounted = "busy", []string{"/media/x"}
	system.Name, system.System = "system", true
	fixed.Name, fixed.Removable = "fixed", false
	all := append(card, busy, system, fixed)
	sum := fmt.Sprintf("%x", sha256.Sum256(image))
	for _, test := range []struct {
		in, args, says string
		status         int
	}{
		{"", files["raw"] + " card", "the name was not typed", 1},
		{"cart\n", files["raw"] + " card", "the name was not typed", 1},
		{"", files["raw"] + " busy --yes", "it is in use at /media/x", 1},
		{"", files["raw"] + " system --yes", "this machine runs from it", 1},
		{"", files["raw"] + " fixed --yes", "it is not removable", 1},
		{"", files["raw"] + " " + device + "x --yes", "there is no disk", 1},
		{"", files["raw"] + " card --yes --sha256 " + strings.Repeat("0", 64), "not the one that was meant", 1},
		{"", files["raw"] + " card --yes --sha256 0", "64 hexadecimal digits", 2},
		{"", files["raw"], "an image and a device", 2},
		{"", write(t, "text", bytes.Repeat([]byte("no image "), 1000)) + " card --yes", "no image of a disk", 1},
		{"", write(t, "empty", nil) + " card --yes", "no image of a disk", 1},
		{"", write(t, "large", testImage(12<<20+1)) + " card --yes", "does not fit", 1},
		{"", web.URL + "/bare.img.zst card --yes", "say it with --sha256", 1},
		{"", web.URL + "/none.img card --yes --sha256 " + sum, "404", 1},
		{"", web.URL + "/lintel.img.zst card --yes --sha256 " + sum, "not the one that was meant", 1},
	} {
		status, _, said := flashed(all, test.in, strings.Fields(test.args)...)
		if status != test.status || !strings.Contains(said, test.says) {
			t.Errorf("flash %s: status %d, said %s", test.args, status, said)
		}
	}
	if got, err := os.ReadFile(device); err != nil || !bytes.Equal(got, before) {
		t.Errorf("something was written: %v", err)
	}
	// A file that is cut says so, when it is too late for the card.
	if status, _, said := flashed(card, "", write(t, "cut.zst", zst.Bytes()[:zst.Len()-5]), "card", "--yes"); status != 1 || !strings.Contains(said, "unexpected EOF") {
		t.Errorf("a cut file: status %d, said %s", status, said)
	}
	large := new(bytes.Buffer)
	z = gzip.NewWriter(large)
	z.Write(testImage(13 << 20))
	z.Close()
	if status, _, said := flashed(card, "", write(t, "large.gz", large.Bytes()), "card", "--yes"); status != 1 || !strings.Contains(said, "does not fit") {
		t.Errorf("one that turns out to be too large: status %d, said %s", status, said)
	}
}

// A card that keeps something else than was written is found.
func TestVerify(t *testing.T) {
	image := testImage(5 << 20)
	want := sha256.New()
	want.Write(image)
	for name, damage := range map[string]func([]byte) []byte{
		"damaged": func(b []byte) []byte { b[4<<20+1] ^= 1; return b },
		"smaller": func(b []byte) []byte { return b[:4<<20] },
		"whole":   func(b []byte) []byte { return b },
	} {
		f, err := os.Open(write(t, name, damage(bytes.Clone(image))))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		err = verify(t.Context(), f, int64(len(image)), want, &progress{})
		if (err == nil) != (name == "whole") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Linux itself refuses a disk that is in use.
func TestDriveInUse(t *testing.T) {
	device := loopDevice(t, 4<<20)
	first, err := openDrive(&drive{Path: device})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := openDrive(&drive{Path: device}); err == nil || !strings.Contains(err.Error(), "is in use") {
		t.Error(err)
	}
}

func TestListOfDrives(t *testing.T) {
	list := []drive{{Name: "sda", Size: 1000204886016, Model: "Disk"}, {Name: "sdb", Size: 31914983424, Removable: true}}
	if status, out, said := flashed(list, ""); status != 0 || out != "DEVICE  SIZE     MODEL  \nsda     1.0 TB   Disk   refused: it is not removable\nsdb     31.9 GB  -      \n" {
		t.Errorf("status %d %q %s", status, out, said)
	}
	if _, out, _ := flashed(list, "", "--json"); !strings.Contains(out, `"name":"sda","path":"","model":"Disk","size":1000204886016`) || !strings.Contains(out, `"refused":"it is not removable"`) {
		t.Error(out)
	}
}
