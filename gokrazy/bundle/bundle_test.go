package main

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lintel/gateway/update"
)

var testTime = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// bundleIn runs the command in a folder.
func bundleIn(t *testing.T, folder string, args ...string) (string, error) {
	t.Helper()
	for i, a := range args {
		args[i] = strings.ReplaceAll(a, "@", folder+"/")
	}
	var out bytes.Buffer
	err := run(args, &out, testTime)
	return out.String(), err
}

// makeRoot makes a root with modules for kernels.
func makeRoot(t *testing.T, name string, kernels ...string) {
	t.Helper()
	from := t.TempDir()
	for _, kernel := range kernels {
		if err := os.MkdirAll(filepath.Join(from, "lib/modules", kernel, "kernel/drivers"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("mksquashfs", from, name, "-quiet", "-no-progress", "-noappend").CombinedOutput(); err != nil {
		if errors.Is(err, exec.ErrNotFound) && os.Getenv("LINTEL_NEED_ALL") == "" {
			t.Skip("mksquashfs is missing: apt-get install squashfs-tools")
		}
		t.Fatalf("mksquashfs: %v: %s", err, out)
	}
}

// TestRelease makes keys, bundles and a feed, serves the feed and follows it as a box does.
func TestRelease(t *testing.T) {
	t.Setenv("UPDATE_SIGNING_KEYS", "")
	t.Setenv("UPDATE_KEYS", "")
	folder := t.TempDir()
	must := func(args ...string) string {
		t.Helper()
		out, err := bundleIn(t, folder, args...)
		if err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		return out
	}
	printed := must("keys", "@current", "@next")
	var public []string
	for line := range strings.Lines(printed) {
		public = append(public, strings.TrimSpace(line[strings.LastIndex(line, " ")+1:]))
	}
	if info, err := os.Stat(filepath.Join(folder, "current")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := bundleIn(t, folder, "keys", "@current"); err == nil {
		t.Error("a key was overwritten")
	}
	write := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	makeRoot(t, filepath.Join(folder, "lintel.squashfs"), "6.12.47-v8")
	makeRoot(t, filepath.Join(folder, "two.squashfs"), "6.12.47-v8", "7.1.3")
	makeRoot(t, filepath.Join(folder, "none.squashfs"))
	write("notes.txt", []byte("It does more.\n"))
	must("build", "--root", "@lintel.squashfs", "--version", "1.0", "--counter", "10",
		"--key", "@current", "--key", "@next", "--notes", "@notes.txt")
	t.Setenv("VERSION", "1.1 beta")
	t.Setenv("COUNTER", "11")
	t.Setenv("UPDATE_SIGNING_KEYS", filepath.Join(folder, "current")+","+filepath.Join(folder, "next"))
	must("build", "--root", "@lintel.squashfs")
	for _, wrong := range [][]string{
		{"build", "--root", "@two.squashfs"},
		{"build", "--root", "@none.squashfs"},
		{"build", "--root", "@nothing.squashfs"},
		{"build", "--root", "@notes.txt"},
		{"build", "--root", "@lintel.squashfs", "--board", "Lintel"},
		{"build", "--root", "@lintel.squashfs", "--counter", "0"},
		{"build", "--root", "@lintel.squashfs", "--key", "@notes.txt"},
		{"feed", "--folder", "@feed", "--channel", "nightly", "@lintel-1.0.lintel"},
		{"feed", "--folder", "@feed", "--channel", "stable", "--percent", "101", "@lintel-1.0.lintel"},
		{"feed", "--folder", "@feed", "--channel", "stable", "@lintel.squashfs"},
		{"show", "@lintel.squashfs"},
		{"what"},
	} {
		if out, err := bundleIn(t, folder, wrong...); err == nil {
			t.Errorf("%q is taken: %s", wrong, out)
		}
	}
	if out := must("show", "@lintel-1.0.lintel"); !strings.Contains(out, `"summary": "It does more."`) || !strings.Contains(out, "fits") {
		t.Error(out)
	}
	must("feed", "--folder", "@feed", "--channel", "stable", "--percent", "0", "@lintel-1.0.lintel")
	must("feed", "--folder", "@feed", "--channel", "beta", "@lintel-1.1_beta.lintel")
	if out := must("show", "--trust", public[1], "@feed/index.json"); strings.Count(out, `"file"`) != 2 {
		t.Error(out)
	}

	s := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(folder, "feed"))))
	defer s.Close()
	keys, err := update.ParseKeys(strings.Join(public, ","))
	if err != nil {
		t.Fatal(err)
	}
	follow := func(channel update.Channel) *update.Entry {
		t.Helper()
		f := &update.Feed{URL: s.URL + "/" + indexName, Keys: keys, Client: s.Client()}
		x, err := f.Index(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		box := update.Release{Version: "0.9", Counter: 9, Board: "lintel", Kernel: "6.12.47-v8", Keys: keys}
		o := x.Offer(box, channel, "box", false, testTime, 0)
		if o.Entry == nil {
			return nil
		}
		name, err := f.Download(t.Context(), o.Entry, filepath.Join(folder, "box"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if out := must("show", "--trust", public[0], name); !strings.Contains(out, "fits") {
			t.Error(out)
		}
		return o.Entry
	}
	if e := follow(update.Stable); e != nil {
		t.Errorf("stable has %+v for nobody, and offers it", e)
	}
	if e := follow(update.Beta); e == nil || e.Manifest.Version != "1.1 beta" {
		t.Errorf("beta offers %+v", e)
	}
	must("feed", "--folder", "@feed", "--channel", "stable", "@lintel-1.0.lintel")
	if e := follow(update.Stable); e == nil || e.Manifest.Version != "1.0" || e.Percent != 100 {
		t.Errorf("stable offers %+v", e)
	}

	// An index of somebody else is not carried on.
	must("keys", "@stranger")
	if _, err := bundleIn(t, folder, "feed", "--folder", "@feed", "--channel", "stable", "--key", "@stranger", "@lintel-1.0.lintel"); err == nil {
		t.Error("a stranger signs an index that he does not know")
	}
	// What is too old goes, and its file with it.
	must("build", "--root", "@lintel.squashfs", "--version", "1.2", "--counter", "12")
	must("feed", "--folder", "@feed", "--channel", "stable", "--keep", "1", "@lintel-1.2.lintel")
	left, err := filepath.Glob(filepath.Join(folder, "feed", "*"))
	if err != nil || len(left) != 3 || filepath.Base(left[1]) != "lintel-11.lintel" || filepath.Base(left[2]) != "lintel-12.lintel" {
		t.Errorf("left: %v, %v", left, err)
	}
}
