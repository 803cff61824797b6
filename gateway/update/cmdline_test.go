package update

import (
	"bytes"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
)

// TestCommandLine: the real bytes of both images, and what people and Raspberry Pi Imager
// make of them.
func TestCommandLine(t *testing.T) {
	for _, image := range images {
		line := read(t, "testdata/cmdline-"+image+".txt")
		words := strings.TrimRight(line, " ")
		flagged, need, err := withFlag([]byte(line))
		if err != nil || need != 0 {
			t.Fatalf("%s: need %d, %v", image, need, err)
		}
		if want := words + " " + tryFlag; len(flagged) != len(line) || strings.TrimRight(string(flagged), " ") != want {
			t.Errorf("%s: %q", image, flagged)
		}
		// What init makes of it.
		tried := append(bytes.ReplaceAll(flagged, []byte(tryFlag), []byte(triedFlag)), "   "...)
		if got := withoutFlags(tried); string(got) != line {
			t.Errorf("%s: after a trial %q", image, got)
		}
		if got := withoutFlags(flagged); string(got) != line {
			t.Errorf("%s: disarmed %q", image, got)
		}
		for _, text := range []string{line, read(t, "testdata/gokrazy-"+image+".conf")} {
			if root, err := rootIn([]byte(text)); err != nil || root != rootA {
				t.Errorf("%s: root %d, %v", image, root, err)
			}
			other, err := withRoot([]byte(text), rootB)
			if err != nil || string(other) != strings.Replace(text, "PARTNROFF=1", "PARTNROFF=2", 1) {
				t.Errorf("%s: %q, %v", image, other, err)
			}
			if back, err := withRoot(other, rootA); err != nil || string(back) != text {
				t.Errorf("%s: back %q, %v", image, back, err)
			}
		}
		// No spaces at the end, or an end of line from an editor: there is no room, or it is made.
		if _, need, err := withFlag([]byte(imager(line))); err != nil || need != len(imager(line))+1+len(tryFlag)+afterFlag {
			t.Errorf("%s: after the Imager: need %d, %v", image, need, err)
		}
		if flagged, need, err := withFlag([]byte(line[:len(line)-2] + "\r\n")); err != nil || need != 0 || bytes.ContainsAny(flagged, "\r\n") {
			t.Errorf("%s: with an end of line: %q, %d, %v", image, flagged, need, err)
		}
	}
	line := read(t, "testdata/cmdline-lintel.txt")
	for name, bad := range map[string]string{
		"empty":     "",
		"spaces":    strings.Repeat(" ", 200),
		"no root":   strings.Replace(line, "root=", "boot=", 1),
		"two roots": line + " root=/dev/sda2",
		"by name":   "root=/dev/mmcblk0p2 init=/gokrazy/init",
		"MBR":       "root=PARTUUID=2e18c40c-02 init=/gokrazy/init",
		"zero":      strings.Replace(line, "OFF=1", "OFF=0", 1),
		"three":     strings.Replace(line, "OFF=1", "OFF=3", 1),
		"ten":       strings.Replace(line, "OFF=1", "OFF=10", 1),
		"lines":     strings.Replace(line, " rootwait", "\nrootwait", 1),
		"NUL":       strings.Replace(line, " rootwait", "\x00rootwait", 1),
	} {
		if flagged, need, err := withFlag([]byte(bad)); err == nil {
			t.Errorf("%s: %q, %d", name, flagged, need)
		}
	}
	if got, err := withRoot([]byte(line), 4); err == nil {
		t.Errorf("root 4: %q", got)
	}
}

// TestWords: words of others stay, whatever they are and in whatever order.
func TestWords(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	some := []string{"quiet", "cfg80211.ieee80211_regdom=DE", "ds=nocloud;i=rpi-imager-1", "dwc_otg.fiq_enable=0", "gokrazy.log_to_syslog=1", "xroot=1", "rootwait"}
	for range 2000 {
		words := []string{"root=PARTUUID=60c24cc1-f3f9-427a-8199-b372176d0001/PARTNROFF=" + []string{"1", "2"}[random.IntN(2)]}
		flags := []string{tryFlag, triedFlag}
		for range random.IntN(6) {
			words = append(words, some[random.IntN(len(some))])
		}
		random.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
		with := append([]string(nil), words...)
		for range random.IntN(3) {
			at := random.IntN(len(with) + 1)
			with = append(with[:at:at], append([]string{flags[random.IntN(2)]}, with[at:]...)...)
		}
		line := strings.Join(with, " ") + strings.Repeat(" ", random.IntN(80))
		if got := withoutFlags([]byte(line)); strings.Join(strings.Fields(string(got)), " ") != strings.Join(words, " ") || len(got) != len(line) {
			t.Fatalf("%q became %q", line, got)
		}
		flagged, need, err := withFlag([]byte(line))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if need > 0 {
			flagged, need, err = withFlag([]byte(line + strings.Repeat(" ", need-len(line))))
		}
		if want := strings.Join(words, " ") + " " + tryFlag; need != 0 || err != nil || strings.Trim(string(flagged), " ") != want {
			t.Fatalf("%q: %q, %d, %v", line, flagged, need, err)
		}
	}
}

// FuzzCommandLine: a command line of others is changed in nothing but what is meant.
func FuzzCommandLine(f *testing.F) {
	for _, image := range images {
		for _, name := range []string{"cmdline-" + image + ".txt", "gokrazy-" + image + ".conf"} {
			f.Add([]byte(read(f, "testdata/"+name)))
			f.Add([]byte(imager(read(f, "testdata/"+name))))
		}
	}
	f.Add([]byte("root=PARTUUID=1/PARTNROFF=2 gokrazy.try_boot_inagokrazy.try_boot_inactive=1ctive=1"))
	f.Fuzz(func(t *testing.T, line []byte) {
		before := bytes.Clone(line)
		without := withoutFlags(line)
		if len(without) != len(line) || bytes.Contains(without, []byte(tryFlag)) || bytes.Contains(without, []byte(triedFlag)) {
			t.Errorf("%q without flags: %q", line, without)
		}
		if flagged, need, err := withFlag(line); err == nil && need == 0 {
			if len(flagged) != len(line) || bytes.Count(flagged, []byte(tryFlag)) != 1 || !bytes.HasSuffix(flagged, []byte("   ")) || bytes.ContainsAny(flagged, "\x00\r\n") {
				t.Errorf("%q flagged: %q", line, flagged)
			}
			if got, err := rootIn(flagged); err != nil {
				t.Errorf("%q: root %d, %v", flagged, got, err)
			}
		} else if err == nil && need <= len(line) {
			t.Errorf("%q: needs %d", line, need)
		}
		if root, err := rootIn(line); err == nil {
			changed, err := withRoot(line, rootA+rootB-root)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			differ := 0
			for i := range changed {
				if changed[i] != line[i] {
					differ++
				}
			}
			if other, err := rootIn(changed); differ != 1 || err != nil || other == root {
				t.Errorf("%q: %q", line, changed)
			}
		}
		if !bytes.Equal(line, before) {
			t.Error("the line of the caller was changed")
		}
	})
}

// FuzzBoot: no boot partition, however broken, makes more happen than an error, and what
// is written is a sector of cmdline.txt.
func FuzzBoot(f *testing.F) {
	name := filepath.Join(f.TempDir(), "fat")
	makeFAT(f, name, read(f, "testdata/cmdline-lintel.txt"), read(f, "testdata/gokrazy-lintel.conf"))
	image := []byte(read(f, name))[:128<<10] // all that is in it
	f.Add(0, []byte{0xeb})
	f.Add(11, []byte{0, 4, 1})
	f.Add(13, []byte{0})
	f.Add(16, []byte{2})
	f.Add(22, []byte{0xff, 0xff})
	folder := bytes.Index(image, []byte("CMDLINE TXT"))
	f.Add(folder+26, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add(folder+28, []byte{0, 2})
	f.Add(bytes.Index(image, []byte("LOADER     "))+26, []byte{3, 0})
	f.Fuzz(func(t *testing.T, at int, change []byte) {
		spoiled := bytes.Clone(image)
		if at < 0 || at > len(spoiled) {
			return
		}
		copy(spoiled[at:], change)
		d := &memory{bytes: bytes.Clone(spoiled)}
		b := &boot{device: d, efi: at%2 == 0}
		if b.readHead() != nil {
			return
		}
		b.next()
		if b.arm() == nil {
			f, line, err := b.file(cmdlineFile)
			if err != nil || f == nil || !bytes.Contains(line, []byte(tryFlag)) {
				t.Fatalf("armed, and then %q, %v", line, err)
			}
		}
		b.point(rootB)
		b.disarm()
		if f, line, err := b.file(cmdlineFile); err == nil && f != nil && hasFlag(line) && checkLine(line) == nil {
			t.Errorf("a flag is left: %q", line)
		}
		sectors := 0
		for i := 0; i < len(spoiled); i += sectorSize {
			if end := min(i+sectorSize, len(spoiled)); !bytes.Equal(spoiled[i:end], d.bytes[i:end]) {
				sectors++
			}
		}
		if sectors > 3 { // cmdline.txt, its entry if it was lengthened, gokrazy.conf
			t.Errorf("%d sectors were changed", sectors)
		}
	})
}

// memory is a device.
type memory struct{ bytes []byte }

func (m *memory) ReadAt(b []byte, at int64) (int, error) {
	return bytes.NewReader(m.bytes).ReadAt(b, at)
}
func (m *memory) WriteAt(b []byte, at int64) (int, error) { return copy(m.bytes[at:], b), nil }
func (m *memory) Sync() error                             { return nil }
func (m *memory) Close() error                            { return nil }
func (m *memory) Size() (int64, error)                    { return int64(len(m.bytes)), nil }

// FuzzRecord: what is on the card may be anything.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"state":"armed","from":2,"to":3,"version":"v2","counter":2,"root":{"size":5,"sha256":"` + strings.Repeat("ab", 32) + `"},"patience":7,"later":1}`))
	f.Add([]byte(`{"state":"armed","from":2,"to":2}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := parseRecord(text)
		if r == nil {
			return
		}
		if r.To != rootA && r.To != rootB || r.To == r.From || r.Patience < minPatience || r.Patience > maxPatience || r.Root.Size > MaxRoot {
			t.Errorf("%+v", r)
		}
		for running := rootA; running <= rootB; running++ {
			if s := situation(running, rootA, rootA, r, Release{Version: r.Version, Counter: r.Counter}); s == TrialStart && (running == rootA || r.State != StateArmed) {
				t.Errorf("%v of %+v", s, r)
			}
		}
	})
}
