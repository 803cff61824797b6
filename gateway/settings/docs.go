package settings

import (
	_ "embed"
	"strings"
)

// readmeText is where each key is explained.
//
//go:embed README.md
var readmeText string

// settingDocs are what the README says of each key and table.
var settingDocs = readDocs(readmeText)

// readDocs reads the comments of the first block of TOML.
func readDocs(readme string) map[string]string {
	_, block, _ := strings.Cut(readme, "```toml\n")
	block, _, _ = strings.Cut(block, "```")
	docs := make(map[string]string)
	table := ""
	for line := range strings.Lines(block) {
		code, about, _ := strings.Cut(strings.TrimSpace(line), " # ")
		code, about = strings.TrimSpace(code), strings.TrimSpace(about)
		if header, ok := strings.CutPrefix(code, "["); ok {
			table = strings.TrimSuffix(header, "]")
			docs[table] = about
		} else if key, _, ok := strings.Cut(code, "="); ok {
			docs[joinKey(table, strings.TrimSpace(key))] = about
		}
	}
	return docs
}
