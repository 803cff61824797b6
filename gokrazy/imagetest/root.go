package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// root is a root file system that the test has made of a board's instance: what another
// version brings.
type root struct {
	name     string   // of its files
	version  string   // as the programs in it say
	counter  int64    // that orders it
	programs []string // import paths of programs that are in no image
	flags    []string // of lintel, in place of those of the instance; nil: those
	keys     string   // public keys that it trusts
	file     string   // the squashfs
}

// build makes the root as gokrazy/build.sh makes the one of the image, from a copy of the
// instance.
func (r *root) build(ctx context.Context, b board) error {
	repository, err := filepath.Abs(".")
	if err != nil {
		return err
	}
	folder, err := filepath.Abs(filepath.Join("out", "imagetest", "instances"))
	if err != nil {
		return err
	}
	instance := filepath.Join(folder, r.name)
	if err := os.RemoveAll(instance); err != nil {
		return err
	}
	if err := os.CopyFS(instance, os.DirFS(filepath.Join("gokrazy", b.image))); err != nil {
		return err
	}
	if err := r.change(filepath.Join(instance, "config.json")); err != nil {
		return err
	}
	module := filepath.Join(instance, "builddir")
	if _, err := command(ctx, module, nil, "go", "mod", "edit", "-replace", "lintel="+repository); err != nil {
		return err
	}
	x := fmt.Sprintf("-X main.version=%s -X main.counter=%d -X main.board=%s -X main.updateKeys=%s", r.version, r.counter, b.image, r.keys)
	goflags := strings.TrimSpace(os.Getenv("GOFLAGS") + " -trimpath '-ldflags=-s -w " + x + "'")
	r.file = filepath.Join(folder, r.name+".squashfs")
	_, err = command(ctx, repository, []string{"GOFLAGS=" + goflags}, filepath.Join("bin", "gok"),
		"--parent_dir", folder, "-i", r.name, "overwrite", "--root="+r.file)
	return err
}

// change writes into a configuration of gok what is other in this root.
func (r *root) change(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	const lintel = "lintel/cmd/lintel"
	packages, _ := config["Packages"].([]any)
	for _, p := range r.programs {
		packages = append([]any{p}, packages...) // gokrazy starts them in this order
	}
	config["Packages"] = packages
	if r.flags != nil {
		all, _ := config["PackageConfig"].(map[string]any)
		own, _ := all[lintel].(map[string]any)
		if own == nil {
			return fmt.Errorf("%s: nothing about %s", name, lintel)
		}
		own["CommandLineFlags"] = r.flags
	}
	if text, err = json.MarshalIndent(config, "", "    "); err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o666)
}

// truncate makes a root of which only the beginning is there.
func (r *root) truncate(of *root) error {
	text, err := os.ReadFile(of.file)
	if err != nil {
		return err
	}
	r.file = filepath.Join(filepath.Dir(of.file), r.name+".squashfs")
	return os.WriteFile(r.file, text[:len(text)/3], 0o666)
}

// command runs a program and returns what it wrote.
func command(ctx context.Context, dir string, env []string, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var all bytes.Buffer
	cmd.Stdout, cmd.Stderr = &all, &all
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, &all)
	}
	return all.Bytes(), nil
}
