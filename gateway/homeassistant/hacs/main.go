// Command hacs writes the custom integration for Home Assistant as a repository that
// HACS, the store for such integrations, takes: HACS wants custom_components at the top
// of a repository on GitHub.
package main

import (
	"embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"lintel/gateway/homeassistant"
)

//go:embed hacs.json README.md
var files embed.FS

func main() {
	version := flag.String("version", "dev", "of Lintel")
	repository := flag.String("repository", "", "OWNER/NAME of the repository on GitHub")
	license := flag.String("license", "LICENSE", "file with the license")
	out := flag.String("out", "out/hacs", "folder that is written; what is in it is replaced")
	flag.Parse()
	if err := write(*out, *version, *repository, *license); err != nil {
		fmt.Fprintln(os.Stderr, "hacs:", err)
		os.Exit(1)
	}
	fmt.Println("written:", *out)
}

// onGitHub is what GitHub takes as OWNER/NAME.
var onGitHub = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}$`)

func write(out, version, repository, license string) error {
	if !onGitHub.MatchString(repository) {
		return errors.New("HACS takes repositories on GitHub only: say which one with --repository OWNER/NAME, or make hacs REPOSITORY=OWNER/NAME")
	}
	all, err := homeassistant.IntegrationFiles(version, repository)
	if err != nil {
		return err
	}
	for _, name := range []string{"hacs.json", "README.md"} {
		text, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		all[name] = []byte(strings.ReplaceAll(string(text), "OWNER/NAME", repository))
	}
	if all["LICENSE"], err = os.ReadFile(license); err != nil {
		return err
	}
	// HACS shows what is there: nothing of a version before is to stay. A .git does.
	for _, old := range []string{"custom_components", "hacs.json", "README.md", "LICENSE"} {
		if err := os.RemoveAll(filepath.Join(out, old)); err != nil {
			return err
		}
	}
	for name, content := range all {
		name = filepath.Join(out, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
