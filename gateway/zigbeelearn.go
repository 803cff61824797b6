package gateway

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
	"lintel/serialbridge/zigbee/z2m"
)

// readUsers reads the definitions that users have written. A file that is wrong is left out,
// and told of.
func (z *zigbeeHouse) readUsers() {
	folder := z.definitions()
	files, err := readDefinitions(folder)
	if err != nil {
		z.g.log.Error("definitions of zigbee devices not read", "folder", folder, "err", err)
	}
	var users []devices.User
	for _, f := range files {
		if f.err != nil {
			z.g.log.Error("definitions of zigbee devices left out", "path", filepath.Join(folder, f.name), "err", f.err)
		}
		users = append(users, f.users...)
	}
	z.users.Store(&users)
}

// Bridge returns the bridge that there is now.
func (z *zigbeeHouse) Bridge() *z2m.Bridge { return z.current() }

// Overview returns what there is in the network.
func (z *zigbeeHouse) Overview() z2m.Overview { return z.current().Overview() }

// Permit opens the network for new devices, or closes it.
func (z *zigbeeHouse) Permit(ctx context.Context, duration time.Duration) error {
	return z.current().Permit(ctx, duration)
}

// Shown returns what the page of a device shows.
func (z *zigbeeHouse) Shown(ieee zigbee.IEEEAddress) (z2m.Shown, error) {
	return z.current().Shown(ieee)
}

// States returns the last values of all devices.
func (z *zigbeeHouse) States() map[zigbee.IEEEAddress]map[string]any { return z.current().States() }

// Lessons returns what was gathered of devices that nobody has described.
func (z *zigbeeHouse) Lessons() []z2m.Lesson { return z.current().Lessons() }

// Learnt returns what was gathered of one.
func (z *zigbeeHouse) Learnt(ieee zigbee.IEEEAddress) (z2m.Lesson, error) {
	return z.current().Learnt(ieee)
}

// Definition returns what a user has said of a device, as a file.
func (z *zigbeeHouse) Definition(ieee zigbee.IEEEAddress) (name string, text []byte, err error) {
	u, err := z.current().Teach(ieee, z2m.Teaching{})
	if err != nil {
		return "", nil, err
	}
	if len(u.Definition.Datapoints) == 0 {
		return "", nil, &z2m.NotLearningError{Reason: "no datapoint of the device has a name yet: name one and save it, then there is a file"}
	}
	text, err = devices.FormatUser([]devices.User{u})
	return definitionFileName(u), text, err
}

// Teach saves what a user says of a device and takes it into use at once. Without any name
// left the file is taken away.
func (z *zigbeeHouse) Teach(ieee zigbee.IEEEAddress, t z2m.Teaching) error {
	z.saving.Lock()
	defer z.saving.Unlock()
	bridge := z.current()
	u, err := bridge.Teach(ieee, t)
	if err != nil {
		return err
	}
	folder, name := z.definitions(), definitionFileName(u)
	files, err := readDefinitions(folder)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := inTheWay(u, f, name); err != nil {
			return err
		}
	}
	path := filepath.Join(folder, name)
	if len(u.Definition.Datapoints) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("take the definition away: %w", err)
		}
	} else {
		text, err := devices.FormatUser([]devices.User{u})
		if err == nil {
			_, err = devices.ParseUser(text) // what is saved must be there after a restart
		}
		if err != nil {
			return &z2m.TeachingError{Reason: "this cannot be saved: " + err.Error()}
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fmt.Errorf("make the folder of definitions: %w", err)
		}
		if err := renameio.WriteFile(path, text, 0o644); err != nil {
			return fmt.Errorf("save the definition: %w", err)
		}
	}
	z.readUsers()
	z.g.log.Info("a zigbee device was described", "device", ieee, "path", path, "datapoints", len(u.Definition.Datapoints))
	bridge.Redefine(u.Matches)
	return nil
}

// inTheWay says why the definition of u cannot be saved beside a file, or, if that has its
// name, over it.
func inTheWay(u devices.User, f definitionFile, name string) error {
	if f.name == name {
		if f.err != nil {
			return &z2m.TeachingError{Reason: fmt.Sprintf("the file %s, where this is to be saved, cannot be read (%v): correct it or delete it", name, f.err)}
		}
		if len(f.users) > 1 {
			return &z2m.TeachingError{Reason: "the file " + name + " describes other devices too: move them to a file of their own"}
		}
		return nil
	}
	same := zigbee.Device{ModelID: u.Models[0], ManufacturerName: u.Manufacturers[0]}
	for i := range f.users {
		// One that is for any maker gives way to one that names it.
		if other := &f.users[i]; len(other.Manufacturers) > 0 && other.Matches(&same) {
			return &z2m.TeachingError{Reason: "the file " + f.name + " describes this device already: change it there, or delete that file and start Lintel again"}
		}
	}
	return nil
}

// definitionFileName is the file that a definition is saved in: what the device calls itself
// and its maker, as far as that can stand in the name of a file.
func definitionFileName(u devices.User) string {
	said := u.Models[0] + "_" + u.Manufacturers[0]
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '-'
	}, said)
	const longest = 80
	if name = name[:min(len(name), longest)]; name != said {
		h := fnv.New32a()
		h.Write([]byte(said))
		name = fmt.Sprintf("%s-%08x", name, h.Sum32())
	}
	return name + ".toml"
}
