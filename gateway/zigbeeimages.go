package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/renameio/v2"

	"lintel/gateway/dashboard"
	"lintel/serialbridge/zigbee/ota"
	"lintel/serialbridge/zigbee/z2m"
)

// Limits of the folder of images.
const (
	maxImages     = 32
	maxImageBytes = 64 << 20 // of all
)

// zigbeeImages is the folder of firmware for Zigbee devices. What is in it is offered to
// devices that it is for, like what the index has.
type zigbeeImages struct {
	folder string

	mu      sync.Mutex
	changed time.Time // when the folder had, as it was read
	read    bool
	list    []dashboard.Firmware
}

func (i *zigbeeImages) all() []dashboard.Firmware {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.look()
}

// look reads the folder, if something has changed in it: whoever looks at the page asks each
// second. The mutex is held.
func (i *zigbeeImages) look() []dashboard.Firmware {
	info, err := os.Stat(i.folder)
	if err != nil {
		i.list, i.read = nil, false
		return nil
	}
	if i.read && info.ModTime().Equal(i.changed) {
		return i.list
	}
	i.read, i.changed, i.list = true, info.ModTime(), nil
	files, _ := os.ReadDir(i.folder)
	for _, f := range files {
		info, err := f.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() > maxImageBytes {
			continue
		}
		data, err := os.ReadFile(filepath.Join(i.folder, f.Name()))
		if err != nil {
			continue
		}
		if image, err := ota.ParseImage(data); err == nil {
			i.list = append(i.list, firmwareOf(f.Name(), len(data), image))
		}
	}
	return i.list
}

func firmwareOf(name string, n int, image *ota.Image) dashboard.Firmware {
	return dashboard.Firmware{Name: name, Text: image.Text, Bytes: n, Version: image.FileVersion, Manufacturer: image.ManufacturerCode, ImageType: image.ImageType}
}

// add keeps an image. Its name is made of what it says of itself.
func (i *zigbeeImages) add(data []byte) (dashboard.Firmware, error) {
	image, err := ota.ParseImage(data)
	if err != nil {
		return dashboard.Firmware{}, &z2m.RequestError{Reason: strings.TrimPrefix(err.Error(), "ota: ")}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	f := firmwareOf(fmt.Sprintf("%04x-%04x-%08x.ota", image.ManufacturerCode, image.ImageType, image.FileVersion), len(image.Data), image)
	count, total := 0, len(image.Data)
	for _, other := range i.look() {
		if other.Name != f.Name {
			count++
			total += other.Bytes
		}
	}
	if count >= maxImages || total > maxImageBytes {
		return f, &z2m.RequestError{Reason: fmt.Sprintf("there is no room for more firmware: delete some, so that there are fewer than %d files with %d MiB in all", maxImages, maxImageBytes>>20)}
	}
	if err := os.MkdirAll(i.folder, 0o755); err != nil {
		return f, fmt.Errorf("make the folder of firmware: %w", err)
	}
	if err := renameio.WriteFile(filepath.Join(i.folder, f.Name), image.Data, 0o644); err != nil {
		return f, fmt.Errorf("keep the firmware: %w", err)
	}
	i.read = false
	return f, nil
}

func (i *zigbeeImages) remove(name string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if name == "" || filepath.Base(name) != name || name == "." || name == ".." {
		return &z2m.RequestError{Reason: "there is no firmware of that name"}
	}
	err := os.Remove(filepath.Join(i.folder, name))
	if errors.Is(err, fs.ErrNotExist) {
		return &z2m.RequestError{Reason: "there is no firmware of that name"}
	}
	i.read = false
	return err
}

// Firmware returns the images that were uploaded, or put into the folder.
func (z *zigbeeHouse) Firmware() []dashboard.Firmware { return z.updates.images.all() }

// AddFirmware keeps an image for those devices that it is for.
func (z *zigbeeHouse) AddFirmware(_ context.Context, data []byte) (dashboard.Firmware, error) {
	f, err := z.updates.images.add(data)
	if err == nil {
		z.g.log.Info("firmware for zigbee devices was uploaded", "name", f.Name, "bytes", f.Bytes)
	}
	return f, err
}

// RemoveFirmware takes an image away.
func (z *zigbeeHouse) RemoveFirmware(name string) error { return z.updates.images.remove(name) }
