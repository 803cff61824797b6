// Lintel is the house between devices and Home Assistant: an MQTT broker that
// loses nothing, and the bridges that bring what sticks hear onto it. The same
// program runs on the appliance and on a laptop.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lintel/gateway"
	"lintel/gateway/backup"
	"lintel/gateway/clock"
	"lintel/gateway/settings"
	"lintel/gateway/update"
	"lintel/hardware"
	"lintel/persist"
)

// These are set when a release is built, see [update.NewRelease].
var (
	version    = "dev"
	counter    string // orders versions
	board      string // name of the image; empty: it is in none
	updateKeys string // public keys that sign updates
	updateFeed string // address of the release feed
)

const usage = `Lintel connects what is plugged into it with Home Assistant, over MQTT.

	lintel serve [--config FILE] [--data FOLDER] [--simulate] [--card] [--boot-files FOLDER] [--cpuprofile FILE]
	lintel backup [--data FOLDER] [--passphrase-file FILE] [--small] BACKUP
	lintel restore [--data FOLDER] [--passphrase-file FILE] BACKUP
	lintel version

Nobody is let in before a person has claimed the box, on its page or with a file
lintel-preseed.toml in the data folder. A file lintel-reset there takes the box from
its owner at the next start. SIGHUP reads the role file again.

A backup holds the box: sessions, messages, users, Zigbee networks, and the files of the data
folder, lintel.toml and the certificate authority among them. Another box goes on with it in the
place of this one. --small leaves queued messages out. A backup is made while lintel runs, too;
stop lintel for a restore.

`

// restartStatus is the exit status after somebody has asked for a restart, in Home Assistant
// for example: whoever keeps the program running is to start it again, which the appliance's
// init and systemd's Restart=on-failure do.
const restartStatus = 3

// The exit status is never 0 or 125 unless somebody asked for the end: after
// those the appliance's init would not start the program again.
func main() {
	// Package pprof, which the support bundle has the goroutines from, would have each
	// allocation that is sampled remembered for ever: 1.7 MiB that nobody reads.
	runtime.MemProfileRate = 0
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	switch os.Args[1] {
	case "serve", "backup", "restore":
		run := map[string]func([]string, io.Writer) error{"serve": serve, "backup": makeBackup, "restore": restore}[os.Args[1]]
		if err := run(os.Args[2:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "lintel:", err)
			switch {
			case errors.Is(err, errUsage):
				os.Exit(2)
			case errors.Is(err, gateway.ErrRestart):
				os.Exit(restartStatus)
			}
			os.Exit(1)
		}
	case "check-store": // run by serve, see persist.Check
		limitMemory()
		if err := persist.Check(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "lintel:", err)
			os.Exit(1)
		}
	case "version", "--version":
		fmt.Println("lintel", version)
	case "help", "-h", "--help":
		fmt.Print(usage)
	default:
		fmt.Fprintf(os.Stderr, "lintel: there is no command %q\n\n%s", os.Args[1], usage)
		os.Exit(2)
	}
}

var errUsage = errors.New("see lintel help")

func serve(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("lintel serve", flag.ContinueOnError)
	data := flags.String("data", "data", "`folder` of everything that is kept")
	configFile := flags.String("config", "", "configuration `file` (default lintel.toml in the data folder, if there is one)")
	simulate := flags.Bool("simulate", false, "plug a virtual meter in")
	card := flags.Bool("card", false, "the data folder is on a card that is this program's: have the system write as little to it as it can, keep the clock right, set the network up, and look for lintel-preseed.toml and lintel-reset on its first partition")
	bootFiles := flags.String("boot-files", "", "look for them in this `folder` too")
	profile := flags.String("cpuprofile", "", "write what the processor did to this `file`, for go tool pprof")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return errUsage
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected %q: %w", flags.Arg(0), errUsage)
	}
	// Before the configuration is read: it may be another one then.
	before, err := backup.Finish(*data)
	if err != nil {
		return err
	}
	if before != "" {
		fmt.Fprintf(out, "restored   a backup; %s is what was there before\n", before)
	}
	os.MkdirAll(*data, 0o700) // if that fails the gateway will say so
	name := cmp.Or(*configFile, filepath.Join(*data, settings.DefaultFile))
	onCard := settings.ReadCard(settings.CardOptions{Data: *data, Config: name, BootFiles: whereBootFiles(*bootFiles, *card, *data)})
	var config settings.Config
	if *configFile != "" || exists(name) {
		config, err = settings.Load(name)
	} else {
		config, err = settings.Load("") // that of the folder it was started in, if there is one
		if exists(settings.DefaultFile) {
			name = settings.DefaultFile
		}
	}
	if err != nil {
		return err
	}
	handler := slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: config.Log.Level})
	logger := slog.New(handler)
	log.SetFlags(0)
	log.SetOutput(slog.NewLogLogger(handler, slog.LevelDebug).Writer()) // what libraries say

	time.Local = config.Time.Location()

	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	limitMemory()
	go balance(ctx)
	if *card {
		if err := hardware.DisableReadAhead("/", *data); err != nil {
			logger.Warn("more is written to the card than has to be", "err", err)
		}
		go grow(ctx, *data, logger)
	}
	var system clock.System
	if *card {
		system = clock.Machine{}
	}
	release, err := update.NewRelease(version, counter, board, updateKeys, updateFeed)
	if err != nil {
		return err
	}
	var machine update.Roots // a nil *update.Machine would be one
	var noMachine error
	if *card && board != "" {
		if m, err := update.OpenMachine("/", *data); err == nil {
			machine = m
		} else {
			noMachine = err
			logger.Warn("this box cannot update itself", "err", err)
		}
	}
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err = gateway.Run(ctx, config, gateway.Options{
		Check:      checkStore(),
		Clock:      system,
		Network:    *card,
		ConfigFile: name,
		Data:       *data,
		Simulate:   *simulate,
		Version:    version,
		Release:    release,
		Machine:    machine,
		Reload:     reload,
		NoMachine:  noMachine,
		Card:       onCard,
		Logger:     logger,
		Ready:      func(e gateway.Endpoints) { announce(out, e) },
	})
	// During an update on trial an orderly reboot does not unmount the data.
	unix.Sync()
	return err
}

// checkStore is how this program is run to check the store.
func checkStore() []string {
	program, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{program, "check-store"}
}

// announce says where everything is.
func announce(out io.Writer, e gateway.Endpoints) {
	for _, b := range e.Brokers {
		fmt.Fprintf(out, "broker     %s://%v\n", b.Scheme, b.Addr)
	}
	if e.HTTP != nil {
		fmt.Fprintf(out, "page       http://%v\n", e.HTTP)
	}
	if e.HTTPS != nil {
		fmt.Fprintf(out, "page       https://%v\n", e.HTTPS)
	}
	if e.Unclaimed {
		where := "on the page"
		if e.HTTP == nil && e.HTTPS == nil {
			where = "with " + settings.PreseedFile + " in the data folder"
		}
		fmt.Fprintf(out, "claim      nobody has claimed this box yet, and MQTT lets nobody in: do it %s\n", where)
	}
	fmt.Fprintf(out, "states     %s\n", e.State)
	if e.Discovery != "" {
		fmt.Fprintf(out, "discovery  %s\n", e.Discovery)
	}
	fmt.Fprintln(out, "ready")
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
