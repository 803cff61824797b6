package homeassistant

import (
	"archive/zip"
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// integrationFiles is the custom integration for Home Assistant. Patterns with a star
// take __init__.py too, which a folder would leave out, and leave out what Python makes.
//
//go:embed custom_components/lintel/*.py custom_components/lintel/*.json
//go:embed custom_components/lintel/translations/*.json custom_components/lintel/brand/*.png
var integrationFiles embed.FS

// manifest is manifest.json of the integration. Its keys stand in the order in which Home
// Assistant's check wants them: domain, name, then by the alphabet.
type manifest struct {
	Domain            string   `json:"domain"`
	Name              string   `json:"name"`
	AfterDependencies []string `json:"after_dependencies"`
	CodeOwners        []string `json:"codeowners"`
	ConfigFlow        bool     `json:"config_flow"`
	Documentation     string   `json:"documentation"`
	IntegrationType   string   `json:"integration_type"`
	IoTClass          string   `json:"iot_class"`
	IssueTracker      string   `json:"issue_tracker"`
	Requirements      []string `json:"requirements"`
	Version           string   `json:"version"`
	Zeroconf          []string `json:"zeroconf"`
}

// Integration returns the custom integration for Home Assistant as a zip that is
// unpacked in its configuration folder. It has the version of this Lintel; the same
// version gives the same bytes.
func Integration(version string) ([]byte, error) {
	files, err := IntegrationFiles(version, "")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		// The first moment that a zip can say: a real one would change the bytes.
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)})
		if err != nil {
			return nil, fmt.Errorf("integration for Home Assistant: %w", err)
		}
		w.Write(files[name]) // into memory
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("integration for Home Assistant: %w", err)
	}
	return b.Bytes(), nil
}

// IntegrationFiles returns the files of the custom integration by their path below the
// configuration folder of Home Assistant. repository is OWNER/NAME on GitHub where people
// find it and say what is wrong with it; empty: the box itself tells about it.
func IntegrationFiles(version, repository string) (map[string][]byte, error) {
	files := make(map[string][]byte)
	err := fs.WalkDir(integrationFiles, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files[name], err = integrationFiles.ReadFile(name)
		return err
	})
	const name = "custom_components/lintel/manifest.json"
	if err == nil {
		files[name], err = stamp(files[name], version, repository)
	}
	if err != nil {
		return nil, fmt.Errorf("integration for Home Assistant: %w", err)
	}
	return files, nil
}

// stamp writes into a manifest what is known only now.
func stamp(text []byte, version, repository string) ([]byte, error) {
	var m manifest
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	m.Version = IntegrationVersion(version)
	if repository != "" {
		owner, _, _ := strings.Cut(repository, "/")
		m.Documentation = "https://github.com/" + repository
		m.IssueTracker = m.Documentation + "/issues"
		m.CodeOwners = []string{"@" + owner}
	}
	text, err := json.MarshalIndent(m, "", "  ")
	return append(text, '\n'), err
}

var (
	described  = regexp.MustCompile(`^v?((?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){2})(?:[-+](.+))?$`)
	prerelease = regexp.MustCompile(`^(?:alpha|beta|rc)(?:\.?[1-9][0-9]*)?$`)
	noBuild    = regexp.MustCompile(`[^0-9A-Za-z]+`)
)

// IntegrationVersion makes of the version of Lintel one that Home Assistant takes: it
// loads no custom integration whose version it cannot read. What is no release is build
// metadata of the release before it [Semantic Versioning 2.0.0, 10].
func IntegrationVersion(version string) string {
	core, rest := "0.0.0", version
	if m := described.FindStringSubmatch(version); m != nil {
		core, rest = m[1], m[2]
	}
	if prerelease.MatchString(rest) {
		return core + "-" + rest
	}
	if rest = strings.Trim(noBuild.ReplaceAllString(rest, "."), "."); rest != "" {
		return core + "+" + rest
	}
	return core
}
