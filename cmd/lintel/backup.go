package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"

	"lintel/cmd/internal/passphrase"
	"lintel/gateway"
	"lintel/gateway/backup"
	"lintel/gateway/settings"
	"lintel/persist"
)

// makeBackup makes a backup under a temporary name, reads it back, and only then
// gives it its name.
func makeBackup(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("lintel backup", flag.ContinueOnError)
	data := flags.String("data", "data", "`folder` of everything that is kept")
	passphraseFile := flags.String("passphrase-file", "", "encrypt with the passphrase in this `file`")
	small := flags.Bool("small", false, "leave queued messages out")
	name, err := parseFile(flags, args)
	if err != nil || name == "" {
		return err
	}
	secret, err := passphrase.Read(*passphraseFile)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	f, err := renameio.NewPendingFile(name, renameio.WithTempDir(filepath.Dir(name)), renameio.WithPermissions(0o600))
	if err != nil {
		return fmt.Errorf("%w: write the backup to another place", err)
	}
	defer f.Cleanup()
	w := io.WriteCloser(f)
	if secret != "" {
		if w, err = persist.EncryptBackup(f, secret); err != nil {
			return err
		}
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if err := gateway.Backup(ctx, *data, version, w, *small, logger); err != nil {
		return err
	}
	if secret != "" {
		if err := w.Close(); err != nil {
			return err
		}
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	box, m, err := backup.Verify(f, secret)
	if err != nil {
		return fmt.Errorf("%w (it was just written: try another disk)", err)
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return err
	}
	fmt.Fprintf(out, "backup   %s, %d bytes\nof       %v\nholds    %v\n", name, size, box, m)
	return nil
}

// restore puts a backup in the place of what is there.
func restore(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("lintel restore", flag.ContinueOnError)
	data := flags.String("data", "data", "`folder` of everything that is kept")
	passphraseFile := flags.String("passphrase-file", "", "`file` with the passphrase of the backup")
	name, err := parseFile(flags, args)
	if err != nil || name == "" {
		return err
	}
	secret, err := passphrase.Read(*passphraseFile)
	if err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	plain, err := persist.DecryptBackup(f, secret)
	if err != nil {
		return err
	}
	r := bufio.NewReader(plain)
	before := ""
	if backup.IsBox(r) {
		var box backup.Manifest
		if box, before, err = backup.Restore(*data, r, settings.CheckFile); err != nil {
			return err
		}
		fmt.Fprintf(out, "restored %s\nof       %v\n", name, box)
	} else {
		var m persist.Manifest
		if m, before, err = backup.RestoreStore(*data, r); err != nil {
			return err
		}
		fmt.Fprintf(out, "restored %s of %s\nholds    %v\n", name, m.Time.Format("2006-01-02 15:04:05"), m)
	}
	if before != "" {
		fmt.Fprintf(out, "before   %s is what was there; delete it when you do not need it\n", before)
	}
	return nil
}

// parseFile parses flags and the one name of a file behind them; the name is
// empty after a call for help.
func parseFile(flags *flag.FlagSet, args []string) (string, error) {
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return "", nil
	case err != nil:
		return "", errUsage
	case flags.NArg() != 1 || flags.Arg(0) == "":
		return "", fmt.Errorf("name one file, after the flags: %w", errUsage)
	}
	return flags.Arg(0), nil
}
