// Guard is the second program of an image: small, and about one thing. It ends a trial of
// a new version that is not kept in time. It asks the broker again and again whether it
// works, restarts lintel when it stays silent, and then the machine. When lintel does not
// come to serve at all it shows a page, with what happened and a way to update.
//
// The watchdog of the hardware is fed by gokrazy's init whatever happens here.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"lintel/gateway/update"
	"lintel/gokrazy/supervisor"
)

// Set when a release is built.
var (
	version    = "dev"
	counter    string
	board      string
	updateKeys string
	updateFeed string
)

// Guard ends when it is told to alone, and never with 0 or 125: after those init would
// not start it again.
func main() {
	data := flag.String("data", "/perm/lintel", "`folder` of everything that lintel keeps")
	program := flag.String("program", "/user/lintel", "`file` of lintel")
	listen := flag.String("listen", ":80", "`address` of the page that is shown when lintel does not run")
	flag.Parse()
	debug.SetMemoryLimit(16 << 20)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	release, err := update.NewRelease(version, counter, board, updateKeys, updateFeed)
	if err != nil {
		log.Error("this program was built wrong: no update is accepted", "err", err)
		release = update.Release{Version: version}
	}
	var machine *update.Machine
	if release.Board != "" {
		if machine, err = update.OpenMachine("/", *data); err != nil {
			log.Error("no machine to guard", "err", err)
		}
	}
	g := &guard{
		release: release, machine: machine, root: "/", data: *data, program: *program, listen: *listen,
		proc: "/proc", parent: os.Getppid(), init: supervisor.Init{Socket: supervisor.Socket}, pace: usualPace, log: log,
	}
	if machine != nil {
		g.reboot = machine.Reboot
	} else {
		g.reboot = func(context.Context) error { return update.ErrNoMachine }
	}
	g.run(ctx)
	fmt.Fprintln(os.Stderr, "guard: told to end")
	os.Exit(1)
}
