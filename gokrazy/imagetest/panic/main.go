// Command panic has the kernel panic as soon as it is started. It is in no image but those
// that the test of images makes to see a box come back from them.
package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	fmt.Println("panic: this version has the kernel panic")
	time.Sleep(time.Second) // so that the console shows this
	err := os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0)
	fmt.Fprintln(os.Stderr, "panic:", err)
	os.Exit(1)
}
