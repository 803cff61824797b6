package main

import (
	"encoding/json"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRepository holds what is written against the rules of HACS for integrations
// (hacs.xyz/docs/publish, and custom_components/hacs/utils/validate.py and validate/ of
// HACS itself, 2026).
func TestRepository(t *testing.T) {
	out := filepath.Join(t.TempDir(), "hacs")
	stale := filepath.Join(out, "custom_components", "lintel", "stale.py")
	if err := os.MkdirAll(filepath.Dir(stale), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stale, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := write(out, "v0.1.0", "somebody/lintel-homeassistant", "../../../LICENSE"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(stale); err == nil {
		t.Error("a file of the version before is still there")
	}
	top := list(t, out)
	if want := []string{"LICENSE", "README.md", "custom_components", "hacs.json"}; !slices.Equal(top, want) {
		t.Errorf("at the top there is %v, want %v", top, want)
	}
	if all := list(t, filepath.Join(out, "custom_components")); !slices.Equal(all, []string{"lintel"}) {
		t.Errorf("the integrations are %v: HACS takes one", all)
	}

	// The keys that hacs.json may have; others are refused. zip_release would need a
	// filename, content_in_root is for those without custom_components.
	var hacs map[string]any
	read(t, filepath.Join(out, "hacs.json"), &hacs)
	for key, value := range hacs {
		switch key {
		case "name", "homeassistant", "hacs", "filename", "country", "persistent_directory":
			if _, ok := value.(string); !ok {
				t.Errorf("hacs.json: %s is %v", key, value)
			}
		case "content_in_root", "zip_release", "hide_default_branch", "render_readme":
			if _, ok := value.(bool); !ok {
				t.Errorf("hacs.json: %s is %v", key, value)
			}
		default:
			t.Errorf("hacs.json may not have %s", key)
		}
	}
	if hacs["name"] == nil || hacs["zip_release"] == true || hacs["content_in_root"] == true {
		t.Errorf("hacs.json is %v", hacs)
	}

	var manifest struct {
		Domain, Name, Version, Documentation string
		IssueTracker                         string `json:"issue_tracker"`
		CodeOwners                           []string
	}
	read(t, filepath.Join(out, "custom_components", "lintel", "manifest.json"), &manifest)
	if manifest.Domain != "lintel" { // HACS installs into the folder of the domain
		t.Errorf("the domain is %s", manifest.Domain)
	}
	if manifest.Name == "" || manifest.Version != "0.1.0" || !slices.Equal(manifest.CodeOwners, []string{"@somebody"}) ||
		manifest.Documentation != "https://github.com/somebody/lintel-homeassistant" || manifest.IssueTracker != manifest.Documentation+"/issues" {
		t.Errorf("%+v", manifest)
	}

	icon, err := os.Open(filepath.Join(out, "custom_components", "lintel", "brand", "icon.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer icon.Close()
	if c, err := png.DecodeConfig(icon); err != nil || c.Width != c.Height {
		t.Errorf("the icon: %v, %d × %d", err, c.Width, c.Height)
	}
	readme, err := os.ReadFile(filepath.Join(out, "README.md"))
	if err != nil || !strings.Contains(string(readme), "`somebody/lintel-homeassistant`") || strings.Contains(string(readme), "OWNER") {
		t.Errorf("%v: the README does not tell the repository", err)
	}
}

func TestRepositoryOfNobody(t *testing.T) {
	for _, repository := range []string{"", "lintel", "a/b/c", "../x", "a/b c", "https://github.com/a/b"} {
		out := t.TempDir()
		if err := write(out, "v0.1.0", repository, "../../../LICENSE"); err == nil {
			t.Errorf("%q is taken", repository)
		}
		if left := list(t, out); len(left) > 0 {
			t.Errorf("%q: %v was written", repository, left)
		}
	}
}

func list(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func read(t *testing.T, name string, v any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}
