package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A bill of materials as CycloneDX 1.5 has it, https://cyclonedx.org/docs/1.5/json/.
type bill struct {
	BOMFormat    string      `json:"bomFormat"`
	SpecVersion  string      `json:"specVersion"`
	SerialNumber string      `json:"serialNumber"`
	Version      int         `json:"version"`
	Metadata     metadata    `json:"metadata"`
	Components   []component `json:"components"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Type     string    `json:"type"` // application, firmware, library, operating-system
	Ref      string    `json:"bom-ref"`
	Name     string    `json:"name"`
	Version  string    `json:"version,omitempty"`
	Hashes   []hash    `json:"hashes,omitempty"`
	Licenses []licence `json:"licenses,omitempty"`
	PURL     string    `json:"purl,omitempty"`
	// Properties name the programs of the image that a library is in.
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type licence struct {
	License struct {
		ID   string `json:"id,omitempty"`   // of SPDX
		Name string `json:"name,omitempty"` // for one that SPDX has no name for
	} `json:"license"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// writeBill writes the bill of materials of a root: every program in it, every module
// that they are made of, and the modules that kernel and firmware come from. It stands
// in the root in the place of gok's, which names folders of the machine that builds.
func (b build) writeBill(root string) error {
	pins, err := pinned(filepath.Join("gokrazy", b.instance, "builddir"))
	if err != nil {
		return err
	}
	cache, err := goCommand("", "env", "GOMODCACHE")
	if err != nil {
		return err
	}
	made, err := b.bill(root, cache, pins)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(made, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if err := os.WriteFile(b.beside(".cdx.json"), text, 0o644); err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	inside, err := json.Marshal(map[string]any{"sbom_hash": hex.EncodeToString(sum[:]), "sbom": made})
	if err != nil {
		return err
	}
	name := filepath.Join(root, "etc/gokrazy/sbom.json")
	os.Remove(name) // it may not be written to
	return os.WriteFile(name, inside, 0o444)
}

// module is a Go module.
type module struct{ path, version string }

// folder returns where the module lies on the machine that builds: gok has downloaded it.
func (m module) folder(cache string) string {
	var escaped strings.Builder // golang.org/ref/mod#module-cache: upper case is written !a
	for _, r := range m.path + "@" + m.version {
		if 'A' <= r && r <= 'Z' {
			escaped.WriteByte('!')
			r += 'a' - 'A'
		}
		escaped.WriteRune(r)
	}
	return filepath.Join(cache, filepath.FromSlash(escaped.String()))
}

// goCommand returns what a go command prints.
func goCommand(dir string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// pinned returns the modules that a builddir names itself: kernel and firmware are
// among them, which no program imports.
func pinned(builddir string) ([]module, error) {
	text, err := goCommand(builddir, "mod", "edit", "-json")
	if err != nil {
		return nil, err
	}
	var file struct {
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal([]byte(text), &file); err != nil {
		return nil, err
	}
	var modules []module
	for _, m := range file.Require {
		modules = append(modules, module{m.Path, m.Version})
	}
	return modules, nil
}

// bill reads what is in a root. cache is Go's folder of modules, pins are those of the builddir.
func (b build) bill(root, cache string, pins []module) (bill, error) {
	libraries := map[string]*component{}
	var programs, others []component
	for _, folder := range []string{"gokrazy", "user"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			info, err := buildinfo.ReadFile(name)
			if err != nil {
				return err
			}
			inside, _ := filepath.Rel(root, name)
			inside = "/" + filepath.ToSlash(inside)
			program := component{Type: "application", Ref: "program:" + inside, Name: inside, Version: info.Main.Version}
			if info.Main.Path == "lintel" || program.Version == "" { // init is made for the image
				program.Version = b.version
			}
			if program.Hashes, err = hashes(name); err != nil {
				return err
			}
			programs = append(programs, program)
			found := []module{{"stdlib", strings.TrimPrefix(info.GoVersion, "go")}}
			for _, dep := range append(info.Deps, &info.Main) {
				// The module of this repository is the program; init is built in one
				// that gok makes up.
				if dep.Path != "lintel" && strings.Contains(dep.Path, ".") {
					found = append(found, module{dep.Path, dep.Version})
				}
			}
			for _, m := range found {
				purl := "pkg:golang/" + m.path + "@" + m.version
				c := libraries[purl]
				if c == nil {
					c = &component{Type: "library", Ref: purl, Name: m.path, Version: m.version, PURL: purl}
					if m.path == "stdlib" {
						c.Licenses = named("BSD-3-Clause")
					} else {
						c.Licenses = licenceOf(m.folder(cache))
					}
					libraries[purl] = c
				}
				c.Properties = append(c.Properties, property{"lintel:program", inside})
			}
			return nil
		})
		if err != nil {
			return bill{}, err
		}
	}
	for _, m := range pins {
		purl := "pkg:golang/" + m.path + "@" + m.version
		c := component{Ref: purl, Name: m.path, Version: m.version, PURL: purl}
		switch {
		case strings.HasPrefix(m.path, "github.com/gokrazy/kernel."):
			c.Type, c.Licenses = "operating-system", named("GPL-2.0-only")
			releases, err := filepath.Glob(filepath.Join(root, "lib/modules/*"))
			if err != nil || len(releases) != 1 {
				return bill{}, fmt.Errorf("there are %d folders of kernel modules; right is one (%v)", len(releases), err)
			}
			c.Properties = []property{{"lintel:linux", filepath.Base(releases[0])}}
			if c.Hashes, err = hashes(filepath.Join(m.folder(cache), "vmlinuz")); err != nil {
				return bill{}, err
			}
		case m.path == "github.com/gokrazy/firmware":
			var l licence
			l.License.Name = "Broadcom: redistribution in binary form, for use on a Raspberry Pi"
			c.Type, c.Licenses = "firmware", []licence{l}
		default:
			continue
		}
		others = append(others, c)
	}
	components := append(programs, others...)
	for _, c := range libraries {
		components = append(components, *c)
	}
	slices.SortFunc(components, func(a, b component) int { return strings.Compare(a.Ref, b.Ref) })
	name := "lintel image " + b.instance
	return bill{
		BOMFormat: "CycloneDX", SpecVersion: "1.5", Version: 1,
		SerialNumber: "urn:uuid:" + uuid(fmt.Sprint(name, b.version, b.made.Unix())),
		Metadata: metadata{
			Timestamp: b.made.Format(time.RFC3339),
			Component: component{Type: "firmware", Ref: b.instance, Name: name, Version: b.version},
		},
		Components: components,
	}, nil
}

func hashes(name string) ([]hash, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, err
	}
	return []hash{{"SHA-256", hex.EncodeToString(h.Sum(nil))}}, nil
}

func named(id string) []licence {
	var l licence
	l.License.ID = id
	return []licence{l}
}

// licenceMarks are sentences that tell the licence of a text. The first that is there
// counts.
var licenceMarks = []struct{ mark, id string }{
	{"apache license version 2.0", "Apache-2.0"},
	{"mozilla public license version 2.0", "MPL-2.0"},
	{"mozilla public license, version 2.0", "MPL-2.0"},
	{"permission to use, copy, modify, and/or distribute this software for any purpose", "ISC"},
	{"permission to use, copy, modify, and distribute this software for any purpose", "ISC"},
	{"permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"},
	{"neither the name of", "BSD-3-Clause"},
	{"names of its contributors may be used to endorse", "BSD-3-Clause"},
	{"redistribution and use in source and binary forms", "BSD-2-Clause"},
	{"this is free and unencumbered software released into the public domain", "Unlicense"},
}

// licenceOf returns the licence of a module as far as its files tell it: nil where they
// do not.
func licenceOf(folder string) []licence {
	for _, pattern := range []string{"LICENSE*", "LICENCE*", "License*", "COPYING*"} {
		names, _ := filepath.Glob(filepath.Join(folder, pattern))
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil || len(text) > 1<<20 {
				continue
			}
			words := strings.ToLower(strings.Join(strings.Fields(string(text)), " "))
			for _, m := range licenceMarks {
				if strings.Contains(words, m.mark) {
					return named(m.id)
				}
			}
		}
	}
	return nil
}
