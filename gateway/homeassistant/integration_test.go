package homeassistant

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const integrationFolder = "custom_components/lintel"

func TestIntegrationZip(t *testing.T) {
	b, err := Integration("v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	again, err := Integration("v1.2.3")
	if err != nil || !bytes.Equal(b, again) {
		t.Error("the same version gives other bytes")
	}
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for _, f := range z.File {
		if !fs.ValidPath(f.Name) || !strings.HasPrefix(f.Name, integrationFolder+"/") {
			t.Errorf("%s lands outside of %s", f.Name, integrationFolder)
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		found[f.Name] = string(content)
	}
	// All that is in the folder and nothing else, but for what Python makes there.
	wanted := make(map[string]bool)
	err = filepath.WalkDir(integrationFolder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.Contains(name, "__pycache__") {
			return err
		}
		wanted[name] = true
		content, err := os.ReadFile(name)
		if got, ok := found[name]; !ok || got != string(content) && !strings.HasSuffix(name, "/manifest.json") {
			t.Errorf("%s is not in the zip as it is", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range found {
		if !wanted[name] {
			t.Errorf("%s does not come from the folder", name)
		}
	}
	if text := found[integrationFolder+"/manifest.json"]; !strings.Contains(text, `"version": "1.2.3"`) {
		t.Error(text)
	}
}

// What a version looks like is rule 2, 9 and 10 of Semantic Versioning 2.0.0, which is
// among the kinds that Home Assistant reads.
var semanticVersion = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
	`(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?` +
	`(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$`)

func TestIntegrationVersion(t *testing.T) {
	for version, want := range map[string]string{
		"":                           "0.0.0",
		"dev":                        "0.0.0+dev",
		"e585ba9":                    "0.0.0+e585ba9",
		"e585ba9-dirty":              "0.0.0+e585ba9.dirty",
		"v0.1.0":                     "0.1.0",
		"1.20.3":                     "1.20.3",
		"v0.1.0-12-ge585ba9":         "0.1.0+12.ge585ba9",
		"v0.1.0-rc1":                 "0.1.0-rc1",
		"v0.1.0-beta.2":              "0.1.0-beta.2",
		"v0.1.0-rc01":                "0.1.0+rc01",
		"v0.1.0-rc1-3-gabc":          "0.1.0+rc1.3.gabc",
		"v0.1.0-dirty":               "0.1.0+dirty",
		"v01.1.0":                    "0.0.0+v01.1.0",
		"1.2.3+build.7":              "1.2.3+build.7",
		"hostile\"\n</script>":       "0.0.0+hostile.script",
		"1.2":                        "0.0.0+1.2",
		"1.2.3-":                     "0.0.0+1.2.3",
		strings.Repeat("ä", 3):       "0.0.0",
		"v1.2.3-alpha":               "1.2.3-alpha",
		"99999999999999999999.0.0-x": "99999999999999999999.0.0+x",
	} {
		got := IntegrationVersion(version)
		if got != want {
			t.Errorf("%q is %q, want %q", version, got, want)
		}
		if !semanticVersion.MatchString(got) {
			t.Errorf("%q becomes %q, which is no version", version, got)
		}
	}
}

func FuzzIntegrationVersion(f *testing.F) {
	for _, version := range []string{"", "dev", "v0.1.0-12-ge585ba9-dirty", "1.2.3-rc1", "v1.2.3+b.7", "1.2.3-\xff"} {
		f.Add(version)
	}
	f.Fuzz(func(t *testing.T, version string) {
		if got := IntegrationVersion(version); !semanticVersion.MatchString(got) {
			t.Errorf("%q becomes %q, which is no version", version, got)
		}
	})
}

// TestIntegrationManifest holds the manifest against the rules of Home Assistant's
// hassfest for custom integrations (script/hassfest/manifest.py and zeroconf.py, 2026).
func TestIntegrationManifest(t *testing.T) {
	for _, repository := range []string{"", "somebody/lintel-homeassistant"} {
		files, err := IntegrationFiles("v0.1.0", repository)
		if err != nil {
			t.Fatal(err)
		}
		text := files[integrationFolder+"/manifest.json"]
		var m map[string]any
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		// No others may be there; these are those that we need of them.
		for _, key := range []string{"domain", "name", "codeowners", "config_flow", "documentation", "integration_type",
			"iot_class", "issue_tracker", "requirements", "version", "zeroconf", "after_dependencies"} {
			if _, ok := m[key]; !ok {
				t.Errorf("the manifest has no %s", key)
			}
		}
		var keys []string
		for d := json.NewDecoder(bytes.NewReader(text)); ; {
			token, err := d.Token()
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if key, ok := token.(string); ok && m[key] != nil && !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
		if want := append([]string{"domain", "name"}, slices.Sorted(slices.Values(keys[2:]))...); !slices.Equal(keys, want) || len(keys) != len(m) {
			t.Errorf("the keys are %v, want %v", keys, want)
		}
		if m["domain"] != filepath.Base(integrationFolder) {
			t.Errorf("the domain is %v, the folder %s", m["domain"], integrationFolder)
		}
		if !slices.Contains([]any{"device", "entity", "hardware", "helper", "hub", "service", "system", "virtual"}, m["integration_type"]) {
			t.Errorf("integration_type is %v", m["integration_type"])
		}
		if !slices.Contains([]any{"assumed_state", "calculated", "cloud_polling", "cloud_push", "local_polling", "local_push"}, m["iot_class"]) {
			t.Errorf("iot_class is %v", m["iot_class"])
		}
		for _, key := range []string{"documentation", "issue_tracker"} {
			u, err := url.Parse(m[key].(string))
			if err != nil || u.Scheme != "https" || !strings.Contains(u.Host, ".") {
				t.Errorf("%s is %v", key, m[key])
			}
			if repository != "" && !strings.HasPrefix(m[key].(string), "https://github.com/"+repository) {
				t.Errorf("%s is %v", key, m[key])
			}
		}
		owners := m["codeowners"].([]any)
		if repository != "" && !slices.Equal(owners, []any{"@somebody"}) {
			t.Errorf("codeowners are %v", owners)
		}
		// What is imported of other integrations has to be loaded before (dependencies.py),
		// unless the file is a platform of theirs.
		for name, content := range files {
			for _, found := range regexp.MustCompile(`homeassistant\.components\.([a-z_]+)`).FindAllStringSubmatch(string(content), -1) {
				if !slices.Contains(m["after_dependencies"].([]any), any(found[1])) && filepath.Base(name) != found[1]+".py" {
					t.Errorf("%s imports %s, which is no dependency", name, found[1])
				}
			}
		}
		types := m["zeroconf"].([]any)
		if !slices.Equal(types, []any{"_lintel._tcp.local."}) {
			t.Errorf("it listens for %v", types)
		}
	}
}

// translations is strings.json and what stands in translations/, each text by its path.
func translations(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := integrationFiles.ReadFile(integrationFolder + "/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	all := make(map[string]string)
	var walk func(path string, tree map[string]any)
	walk = func(path string, tree map[string]any) {
		for key, v := range tree {
			switch v := v.(type) {
			case map[string]any:
				walk(path+key+".", v)
			case string:
				all[path+key] = v
			default:
				t.Errorf("%s: %s%s is no text", file, path, key)
			}
		}
	}
	walk("", tree)
	return all
}

var placeholder = regexp.MustCompile(`\{[^}]*\}`)

// TestIntegrationTexts holds the texts against hassfest's rules (translations.py) and
// against each other. Custom integrations are read from translations/ only.
func TestIntegrationTexts(t *testing.T) {
	all := translations(t, "strings.json")
	allowed := regexp.MustCompile(`^(config\.(flow_title|step\.[a-z]+\.(title|description|data\.[a-z]+|data_description\.[a-z]+)|(error|abort)\.[a-z_]+)|issues\.[a-z_]+\.(title|description))$`)
	for path := range all {
		if !allowed.MatchString(path) {
			t.Errorf("%s is no place for a text", path)
		}
		if field, ok := strings.CutPrefix(path, "config.step."); ok && strings.Contains(field, ".data_description.") {
			if _, ok := all[strings.Replace(path, ".data_description.", ".data.", 1)]; !ok {
				t.Errorf("%s describes a field that has no name", path)
			}
		}
	}
	for _, file := range []string{"translations/en.json", "translations/de.json"} {
		others := translations(t, file)
		if a, b := slices.Sorted(maps.Keys(all)), slices.Sorted(maps.Keys(others)); !slices.Equal(a, b) {
			t.Errorf("%s has other keys: %v", file, b)
		}
		for path, text := range others {
			if strings.TrimSpace(text) != text || text == "" || strings.ContainsAny(text, "<>") ||
				regexp.MustCompile(`(?i)[a-z]+://|www\.|'\{|\[%`).MatchString(text) {
				t.Errorf("%s: %s: hassfest refuses %q", file, path, text)
			}
			a, b := placeholder.FindAllString(all[path], -1), placeholder.FindAllString(text, -1)
			slices.Sort(a)
			slices.Sort(b)
			if !slices.Equal(slices.Compact(a), slices.Compact(b)) {
				t.Errorf("%s: %s has the placeholders %v, want %v", file, path, b, a)
			}
			if file == "translations/en.json" && text != all[path] {
				t.Errorf("%s: %s is not what strings.json says", file, path)
			}
		}
	}
}

// TestIntegrationIcon draws the icon of the pages as the picture that Home Assistant and
// HACS show (256 × 256, brand/icon.png).
func TestIntegrationIcon(t *testing.T) {
	const scale = 8
	picture := image.NewNRGBA(image.Rect(0, 0, 32*scale, 32*scale))
	brick, stone := color.NRGBA{0xb4, 0x55, 0x2d, 0xff}, color.NRGBA{0x8a, 0x81, 0x78, 0xff}
	for _, part := range []struct {
		image.Rectangle
		color.NRGBA
	}{{image.Rect(2, 5, 30, 12), brick}, {image.Rect(6, 14, 11, 28), stone}, {image.Rect(21, 14, 26, 28), stone}} {
		r := image.Rectangle{part.Min.Mul(scale), part.Max.Mul(scale)}
		draw.Draw(picture, r, image.NewUniform(part.NRGBA), image.Point{}, draw.Src)
	}
	name := integrationFolder + "/brand/icon.png"
	if *update {
		var b bytes.Buffer
		if err := png.Encode(&b, picture); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stored, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	if stored.Bounds() != picture.Bounds() {
		t.Fatalf("it is %v", stored.Bounds())
	}
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			if color.NRGBAModel.Convert(stored.At(x, y)) != picture.At(x, y) {
				t.Fatalf("it differs at %d, %d (go test -update draws it)", x, y)
			}
		}
	}
}
