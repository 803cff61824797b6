//go:build !linux

package update

import (
	"math"
	"os"
)

// Boxes run Linux: elsewhere OpenMachine finds none.

func deviceOf(string) (string, error) { return "", ErrNoMachine }

func openDevice(string, bool) (device, error) { return nil, ErrNoMachine }

func aligned(size int) []byte { return make([]byte, size) }

func replaceFile(name string, content []byte) error { return os.WriteFile(name, content, 0o600) }

func syncAll() {}

func restartNow() error { return ErrNoMachine }

func freeSpace(string) (int64, error) { return math.MaxInt64, nil }

func syncFolder(string) error { return nil }
