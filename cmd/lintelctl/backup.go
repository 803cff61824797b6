package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"mime/multipart"
	"os"
	"path/filepath"

	"lintel/cmd/internal/passphrase"
)

func backupCommand() command {
	return command{
		name:  "backup",
		args:  "FILE",
		short: "one file with all that a box is",
		long: `Users, settings, sessions, messages, Zigbee networks with their keys, the certificate authority: another
box, or another board, goes on with it in the place of this one. The passphrase is the first line of a
file; without one everybody can read every key in the backup. The token is of level admin.

	lintelctl backup --box http://lintel.local --passphrase-file secret house.backup`,
		define: runBackup,
	}
}

func runBackup(flags *flag.FlagSet) action {
	b := boxFlags(flags)
	asJSON := jsonFlag(flags)
	passphraseFile := flags.String("passphrase-file", "", "encrypt with the passphrase in this `file`")
	small := flags.Bool("small", false, "leave out messages that wait for clients")
	return func(c *call, args []string) error {
		if err := b.check(); err != nil {
			return err
		}
		if len(args) != 1 {
			return fmt.Errorf("name the file to write: %w", errUsage)
		}
		if _, err := os.Stat(filepath.Dir(args[0])); err != nil {
			return err // before the box makes one for nothing
		}
		secret, err := passphrase.Read(*passphraseFile)
		if err != nil {
			return err
		}
		ctx, stop := interruptible()
		defer stop()
		body, err := json.Marshal(map[string]any{"passphrase": secret, "small": *small})
		if err != nil {
			return err
		}
		answer, err := b.do(ctx, "POST", "/api/backup", "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		return keepAnswer(c, args[0], answer.Body, *asJSON)
	}
}

// keepAnswer writes what a box sends into a file, and says how much it was.
func keepAnswer(c *call, name string, body io.Reader, asJSON bool) error {
	size, err := keepFile(name, body)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(c.out, struct {
			File  string `json:"file"`
			Bytes int64  `json:"bytes"`
		}{name, size})
	}
	_, err = fmt.Fprintf(c.out, "%s, %d bytes\n", name, size)
	return err
}

func restoreCommand() command {
	return command{
		name:  "restore",
		args:  "FILE",
		short: "put a backup in the place of what is on a box",
		long: `The box reads and checks the whole file before anything else, and then starts again with it. What was
there is kept on its card until the next restore. A box that nobody has claimed takes a backup without
a token, from its own network.

	lintelctl restore --box http://192.168.1.20 --passphrase-file secret house.backup`,
		define: runRestore,
	}
}

func runRestore(flags *flag.FlagSet) action {
	b := boxFlags(flags)
	asJSON := jsonFlag(flags)
	passphraseFile := flags.String("passphrase-file", "", "`file` with the passphrase of the backup")
	return func(c *call, args []string) error {
		if b.token == "" {
			b.token = os.Getenv("LINTEL_TOKEN")
		}
		if err := b.checkURL(); err != nil {
			return err
		}
		if len(args) != 1 {
			return fmt.Errorf("name the file of the backup: %w", errUsage)
		}
		secret, err := passphrase.Read(*passphraseFile)
		if err != nil {
			return err
		}
		f, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		ctx, stop := interruptible()
		defer stop()
		body, form := io.Pipe()
		fields := multipart.NewWriter(form)
		go func() { form.CloseWithError(sendBackup(fields, f, secret)) }()
		defer body.Close()
		var done struct {
			Restored string `json:"restored"`
		}
		if err := b.ask(ctx, "POST", "/api/restore", fields.FormDataContentType(), body, &done); err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(c.out, done)
		}
		_, err = fmt.Fprintf(c.out, "restored %s\nThe box starts again with it now.\n", done.Restored)
		return err
	}
}

func sendBackup(fields *multipart.Writer, f *os.File, secret string) error {
	if err := fields.WriteField("passphrase", secret); err != nil {
		return err
	}
	part, err := fields.CreateFormFile("file", filepath.Base(f.Name()))
	if err != nil {
		return err
	}
	if _, err := io.Copy(part, f); err != nil {
		return err
	}
	return fields.Close()
}

// keepFile writes what r gives to a file, which is there whole or not at all.
func keepFile(name string, r io.Reader) (size int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".lintelctl-*") // mode 0600
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	size, err = io.Copy(f, r)
	if err != nil {
		err = fmt.Errorf("the backup is cut: %w", err)
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	return size, os.Rename(f.Name(), name)
}
