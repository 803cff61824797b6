// Package passphrase reads the passphrase of a backup from a file: on a command line
// everybody on the machine would see it.
package passphrase

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// Max is how many bytes a passphrase may have, on the page of a box too.
const Max = 4096

// Read returns the first line of a file; without a name there is none.
func Read(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	f, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("passphrase: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, Max+2))
	if err != nil {
		return "", fmt.Errorf("passphrase: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" || len(line) > Max {
		return "", fmt.Errorf("%s has no passphrase in its first line, or more than %d bytes: write one there", name, Max)
	}
	return line, nil
}
