package persist

import (
	"os"
	"runtime"
	"syscall"
	"testing"
)

func TestReadOnlyFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		// Root may write anywhere, so one thread goes to the files as nobody.
		if err := os.Chmod(dir+"/..", 0o755); err != nil {
			t.Fatal(err)
		}
		runtime.LockOSThread()
		if err := syscall.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		defer runtime.UnlockOSThread()
		defer syscall.Setfsuid(0)
	}
	refused(t, dir, "cannot be written: permission denied", "choose another folder")
}
