package persist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// checkTime bounds the check of a store by a process of its own.
const checkTime = 5 * time.Minute

// inheritedLock is the descriptor by which the lock of the store comes to the
// process that checks it.
const inheritedLock = 3

// Check opens the store in dir and reads all of it, as a start does: if Badger
// panics or the kernel stops it for a fault, which nobody can recover from, this
// process ends and not the one that it was started by. What is damaged in single
// records does not matter here: Load names it. args are the folder and what
// Options.Check says comes behind it.
//
// Check leaves the store as a kill would.
func Check(args []string) error {
	if len(args) != 2 {
		return errors.New("check of a store: folder and size of memtables are needed")
	}
	dir := args[0]
	memTableSize, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil || memTableSize < minMemTableSize {
		return fmt.Errorf("check of a store: size of memtables %q", args[1])
	}
	lock, err := takeOverLock(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	db, err := badger.Open(badgerOptions(dir, memTableSize).WithLogger(&badgerLog{log: slog.New(slog.DiscardHandler)}))
	if err != nil {
		return errors.New(oneLine(err))
	}
	return db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{}) // values are read where they are, not fetched before
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			it.Item().Value(func([]byte) error { return nil })
		}
		return nil
	})
}

// takeOverLock returns the lock of the store: the one of the process that started
// this one, or its own if nobody holds it. With an inherited lock this process ends
// as soon as the other one does, which holds its standard input open.
func takeOverLock(dir string) (*os.File, error) {
	want, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("data folder %s: %w", dir, cause(err))
	}
	var st syscall.Stat_t
	if syscall.Fstat(inheritedLock, &st) == nil && st.Mode&syscall.S_IFMT == syscall.S_IFDIR {
		f := os.NewFile(inheritedLock, dir)
		if info, err := f.Stat(); err == nil && os.SameFile(info, want) && syscall.Flock(inheritedLock, syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			go func() {
				io.Copy(io.Discard, os.Stdin)
				os.Exit(1)
			}()
			return f, nil
		}
	}
	return lockFolder(dir)
}

// check has the store checked by another process. A *damage says that it cannot be
// used; other errors that it could not be checked.
func check(argv []string, dir string, memTableSize int64, lock *os.File) error {
	ctx, cancel := context.WithTimeout(context.Background(), checkTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], append(argv[1:len(argv):len(argv)], dir, strconv.FormatInt(memTableSize, 10))...)
	said := &head{left: 16 << 10}
	cmd.Stderr = said
	cmd.ExtraFiles = []*os.File{lock}
	alive, err := cmd.StdinPipe() // see takeOverLock
	if err != nil {
		return err
	}
	defer alive.Close()
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("it took longer than %v", checkTime)
	case !errors.As(err, &exit):
		return err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
		return errors.New("it was killed") // most likely for want of memory
	}
	why := said.why()
	if why == "" {
		why = exit.String()
	}
	if ofTheMachine(why) {
		return errors.New(why)
	}
	return &damage{why}
}

// ofTheMachine reports whether an error of Badger tells of the machine and not of
// the store. Badger passes errors on as text.
func ofTheMachine(text string) bool {
	for _, e := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EACCES, syscall.EPERM,
		syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EAGAIN} {
		if strings.Contains(text, e.Error()) {
			return true
		}
	}
	return strings.Contains(text, "is in use")
}

// head is the beginning of what a process says.
type head struct {
	bytes.Buffer
	left int
}

func (h *head) Write(b []byte) (int, error) {
	n, _ := h.Buffer.Write(b[:min(len(b), h.left)])
	h.left -= n
	return len(b), nil
}

// why is the line that says why the process ended.
func (h *head) why() string {
	first := ""
	for line := range strings.Lines(h.String()) {
		line = strings.TrimSpace(line)
		for _, prefix := range []string{"panic: ", "fatal error: ", "unexpected fault ", "lintel: "} {
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				if prefix == "lintel: " {
					return rest
				}
				return line
			}
		}
		if first == "" {
			first = line
		}
	}
	return first
}
