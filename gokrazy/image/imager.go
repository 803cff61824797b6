package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// imagerList is a list that Raspberry Pi Imager reads ("custom repository"), as in
// doc/json-schema/os-list-schema.json of raspberrypi/rpi-imager.
type imagerList struct {
	OSList []imagerEntry `json:"os_list"`
}

type imagerEntry struct {
	Name         string   `json:"name"`
	Description  string   `json:"description"`
	Icon         string   `json:"icon"`
	URL          string   `json:"url"`
	ExtractSize  int64    `json:"extract_size"`
	ExtractSum   string   `json:"extract_sha256"`
	DownloadSize int64    `json:"image_download_size"`
	DownloadSum  string   `json:"image_download_sha256"`
	InitFormat   string   `json:"init_format"`
	Devices      []string `json:"devices"`
}

// icon is what Imager shows beside the name.
const icon = "gateway/dashboard/static/icon.svg"

// release compresses the image for Raspberry Pi and writes the entry that has Imager
// download and check it. Both and the icon belong into the folder at address.
func (b build) release(address string) error {
	if address == "" {
		return errors.New("--url is missing: the address of the folder that the release will be in")
	}
	address = strings.TrimSuffix(address, "/") + "/"
	picture, err := os.ReadFile(icon)
	if err != nil {
		return err
	}
	if err := os.WriteFile(b.beside(".svg"), picture, 0o644); err != nil {
		return err
	}
	packed := b.image + ".xz"
	out, err := os.Create(packed)
	if err != nil {
		return err
	}
	defer out.Close()
	// One thread, so that the number of processors does not show in the bytes.
	if err := b.pipe(out, "xz", "-6", "-T1", "-c", b.image); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	entry := imagerEntry{
		Name:        "Lintel " + b.version,
		Description: "MQTT broker with serial and Zigbee bridges for Home Assistant",
		Icon:        address + filepath.Base(b.beside(".svg")),
		URL:         address + filepath.Base(packed),
		// No release_date: with one Imager 2 hashes the person's password with yescrypt,
		// which the box does not read.
		// Imager then offers its settings, and writes user-data and network-config.
		InitFormat: "cloudinit",
		// Imager's words for the boards; a Zero 2 W counts as a 3.
		Devices: []string{"pi5-64bit", "pi4-64bit", "pi3-64bit"},
	}
	if entry.ExtractSize, entry.ExtractSum, err = sum(b.image); err != nil {
		return err
	}
	if entry.DownloadSize, entry.DownloadSum, err = sum(packed); err != nil {
		return err
	}
	text, err := json.MarshalIndent(imagerList{[]imagerEntry{entry}}, "", "  ")
	if err != nil {
		return err
	}
	list := b.beside(".rpi-imager.json")
	if err := os.WriteFile(list, append(text, '\n'), 0o644); err != nil {
		return err
	}
	fmt.Printf("%s: %s, of %s\n%s\n", packed, mebibytes(entry.DownloadSize), mebibytes(entry.ExtractSize), list)
	return nil
}

// sum returns the length of a file and its SHA-256.
func sum(name string) (int64, string, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return n, hex.EncodeToString(h.Sum(nil)), err
}
