package update

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// freeSpace says how many bytes a folder's disk has for us.
func freeSpace(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}
