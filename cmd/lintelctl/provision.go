package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"
	"golang.org/x/crypto/argon2"
)

const (
	preseedFile  = "lintel-preseed.toml" // as the box looks for it
	preseedShort = "LINTEL~1TOM"
	maxPreseed   = 64 << 10 // bytes
)

func provisionCommand() command { return provisionOf(listDrives) }

// provisionOf is the command for the drives that list returns.
func provisionOf(list func() ([]drive, error)) command {
	return command{
		name:  "provision",
		args:  "[TARGET]",
		short: "claim a box: on its card before the first start, or over the network",
		long: `TARGET is an image, a folder (such as where the first partition of the card is mounted), or a card as
lintelctl flash lists it. lintel-preseed.toml is written there, which the box does at its next start: it gives
it to its owner, and says how it is called and how it gets into the network. The owner's password is there as a hash
alone; that of the Wi-Fi is not. Without TARGET the box of --box is claimed, which nobody may have claimed before.

	lintelctl provision --password-file p --host shed --wifi-ssid House --wifi-password-file w lintel.img
	lintelctl provision --password-file p --file more.toml /media/me/boot
	lintelctl provision --password-file p --box http://lintel.local`,
		define: func(flags *flag.FlagSet) action { return provision(flags, list) },
	}
}

// provision claims a box.
func provision(flags *flag.FlagSet, list func() ([]drive, error)) action {
	asJSON := jsonFlag(flags)
	address := flags.String("box", "", "`URL` of a box that runs, such as http://lintel.local")
	passwordFile := flags.String("password-file", "", "`file` with the password of the owner, who is called admin; - for the standard input")
	name := flags.String("name", "", "`name` of the box, as people call it")
	host := flags.String("host", "", "its `name` in the network, without .local")
	ssid := flags.String("wifi-ssid", "", "`name` of the Wi-Fi")
	wifiFile := flags.String("wifi-password-file", "", "`file` with the password of the Wi-Fi")
	country := flags.String("wifi-country", "", "`country` in which it is, two letters")
	more := flags.String("file", "", "`file` in TOML with what else there is to say: the tables of lintel.toml")
	yes := flags.Bool("yes", false, "do not ask before a card is written to")
	return func(c *call, args []string) error {
		secret := func(file string) (string, error) {
			if file == "" {
				return "", nil
			}
			text, err := readInput(file, 4<<10, c.in)
			return strings.TrimRight(string(text), "\r\n"), err
		}
		password, err := secret(*passwordFile)
		if err != nil {
			return err
		}
		wifi, err := secret(*wifiFile)
		if err != nil {
			return err
		}
		network := *host + *ssid + *wifiFile + *country + *more
		switch {
		case len(args) > 1:
			return fmt.Errorf("provision takes one target: %w", errUsage)
		case len(args) == 0 && *address == "":
			return fmt.Errorf("say what to provision, an image, a folder or a card, or --box: %w", errUsage)
		case len(args) == 1 && *address != "":
			return fmt.Errorf("a target and --box are one of them: %w", errUsage)
		case password == "" && (*address != "" || *more == ""):
			return fmt.Errorf("--password-file is missing, with the password of the owner: %w", errUsage)
		case *address != "" && network != "":
			return fmt.Errorf("of a box that runs the network is set on its page, /network: %w", errUsage)
		}
		if *address != "" {
			return claim(c, *address, password, *name, *asJSON)
		}
		text, err := preseedText(password, *name, *host, *ssid, wifi, *country, *more)
		if err != nil {
			return err
		}
		where, err := writePreseed(c, args[0], text, list, *yes)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(c.out, map[string]string{"written": where})
		}
		_, err = fmt.Fprintf(c.out, "%s is written to %s\n", preseedFile, where)
		return err
	}
}

// claim claims a box that runs.
func claim(c *call, address, password, name string, asJSON bool) error {
	b := &box{url: address}
	if err := b.checkURL(); err != nil {
		return err
	}
	var made struct {
		User          string `json:"user"`
		HomeAssistant struct {
			User     string   `json:"user"`
			Password string   `json:"password,omitempty"` // shown this once
			Hosts    []string `json:"hosts,omitempty"`
			Port     string   `json:"port,omitempty"`
		} `json:"homeassistant"`
	}
	if err := b.send("POST", "/api/claim", map[string]string{"password": password, "name": name}, &made); err != nil {
		return err
	}
	if asJSON {
		return writeJSON(c.out, made)
	}
	fmt.Fprintf(c.out, "the box is claimed: its owner is %s\n", said(made.User))
	if h := made.HomeAssistant; h.Password != "" {
		fmt.Fprintf(c.out, "MQTT for Home Assistant: user %s, password %s; it is not shown again\n", said(h.User), said(h.Password))
	}
	return nil
}

// preseedText returns what stands in a preseed file: what a file says, and what the flags do.
func preseedText(password, name, host, ssid, wifi, country, more string) ([]byte, error) {
	tree := make(map[string]any)
	if more != "" {
		text, err := readInput(more, maxPreseed, nil)
		if err != nil {
			return nil, err
		}
		if err := toml.Unmarshal(text, &tree); err != nil {
			return nil, fmt.Errorf("%s: %w", more, err)
		}
	}
	var wrong error
	set := func(value string, path ...string) {
		if value == "" {
			return
		}
		at := tree
		for _, key := range path[:len(path)-1] {
			if at[key] == nil {
				at[key] = make(map[string]any)
			}
			inner, ok := at[key].(map[string]any)
			if !ok {
				wrong = fmt.Errorf("%s: %s is no table", more, key)
				return
			}
			at = inner
		}
		key := path[len(path)-1]
		if _, twice := at[key]; twice {
			wrong = fmt.Errorf("%s says %s too: leave one of them out: %w", more, strings.Join(path, "."), errUsage)
		}
		at[key] = value
	}
	if password != "" {
		set(hashPassword(password), "claim", "password_hash")
	}
	set(name, "claim", "name")
	set(host, "mdns", "host")
	set(ssid, "network", "wifi", "ssid")
	set(wifi, "network", "wifi", "password")
	set(country, "network", "wifi", "country")
	if wrong != nil {
		return nil, wrong
	}
	var b bytes.Buffer
	b.WriteString("# What this box is told at its next start. It removes this file then.\n")
	if err := toml.NewEncoder(&b).Encode(tree); err != nil {
		return nil, err
	}
	if b.Len() > maxPreseed {
		return nil, fmt.Errorf("that is more than %d KiB, which a box does not read", maxPreseed>>10)
	}
	return b.Bytes(), nil
}

// hashPassword makes a hash as the box makes it itself, as a PHC string.
func hashPassword(password string) string {
	const memory, passes, size = 19 << 10, 2, 32
	salt := make([]byte, 16)
	rand.Read(salt)
	key := argon2.IDKey([]byte(password), salt, passes, memory, 1, size)
	text := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, memory, passes, text(salt), text(key))
}

// writePreseed writes the file to a folder, an image or a card, and returns where that was.
func writePreseed(c *call, target string, text []byte, list func() ([]drive, error), yes bool) (where string, err error) {
	info, err := os.Stat(target)
	switch {
	case err == nil && info.IsDir():
		where = filepath.Join(target, preseedFile)
		return where, os.WriteFile(where, text, 0o600)
	case err == nil && info.Mode().IsRegular():
		f, err := os.OpenFile(target, os.O_RDWR, 0)
		if err != nil {
			return "", err
		}
		return target, errors.Join(putPreseed(f, text), f.Sync(), f.Close())
	}
	drives, err := list()
	if err != nil {
		return "", err
	}
	d, err := findDrive(drives, target)
	if err != nil {
		return "", err
	}
	if !yes {
		fmt.Fprintf(c.diagnostics, "%s is written to %s: %s, %s.\n", preseedFile, d.Name, formatSize(d.Size), said(d.Model))
		if err := askName(c, d); err != nil {
			return "", err
		}
	}
	f, err := openDrive(d)
	if err != nil {
		return "", err
	}
	err = errors.Join(putPreseed(sectors{f}, text), f.Sync())
	endDrive(f)
	return d.Path, errors.Join(err, f.Close())
}

// putPreseed writes the file into the FAT of a disk.
func putPreseed(d medium, text []byte) error {
	f, err := openFAT(d)
	if err != nil {
		return err
	}
	return f.writeFile(preseedFile, preseedShort, text)
}

// sectors is a disk without a buffer, which takes whole sectors only.
type sectors struct{ f *os.File }

// sectorSize is a multiple of the sectors of any card.
const sectorSize = 4096

func (s sectors) around(off int64, n int) (from int64, b []byte) {
	from = off &^ (sectorSize - 1)
	return from, make([]byte, (off-from+int64(n)+sectorSize-1)&^(sectorSize-1))
}

func (s sectors) ReadAt(p []byte, off int64) (int, error) {
	from, b := s.around(off, len(p))
	n, err := s.f.ReadAt(b, from)
	if got := n - int(off-from); got < len(p) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return max(0, copy(p, b[min(int(off-from), n):n])), err
	}
	return copy(p, b[off-from:]), nil
}

func (s sectors) WriteAt(p []byte, off int64) (int, error) {
	from, b := s.around(off, len(p))
	if _, err := io.ReadFull(io.NewSectionReader(s.f, from, int64(len(b))), b); err != nil {
		return 0, err
	}
	copy(b[off-from:], p)
	if _, err := s.f.WriteAt(b, from); err != nil {
		return 0, err
	}
	return len(p), nil
}
