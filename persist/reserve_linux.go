package persist

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// logReserve has the file system set blocks aside for the log of each memtable. Badger
// makes these files sparse: each page that is written first costs a commit of the file
// system's own journal of several blocks, and where no block is left for it the kernel
// kills the process. Badger tells nobody when it begins one, but numbers them in order.
type logReserve struct {
	dir  string
	size int64
	next int // number of the first that has nothing set aside
}

func newLogReserve(dir string, size int64) logReserve {
	r := logReserve{dir: dir, size: size}
	logs, _ := filepath.Glob(filepath.Join(dir, "*.mem")) // the pattern is good
	for _, name := range logs {
		if n, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(name), ".mem")); err == nil {
			r.next = max(r.next, n)
		}
	}
	r.keep()
	return r
}

// keep sets blocks aside for logs that are new. That it cannot is no error: the disk is
// watched besides, and some file systems cannot do it.
func (r *logReserve) keep() {
	for {
		f, err := os.OpenFile(filepath.Join(r.dir, fmt.Sprintf("%05d.mem", r.next)), os.O_RDWR, 0)
		if err != nil {
			return
		}
		unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, r.size)
		f.Close()
		r.next++
	}
}
