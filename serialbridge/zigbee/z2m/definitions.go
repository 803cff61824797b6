package z2m

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/renameio/v2"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
)

// Definitions is a folder with the definitions of devices that users have written, *.toml. Its
// methods may be called from any goroutine.
type Definitions struct {
	folder string
	log    *slog.Logger
	users  atomic.Pointer[[]devices.User]
	saving sync.Mutex // held while one of them is written
}

// NewDefinitions returns a folder of which nothing was read yet. A nil logger is silent.
func NewDefinitions(folder string, log *slog.Logger) *Definitions {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d := &Definitions{folder: folder, log: log}
	d.users.Store(new([]devices.User))
	return d
}

// Read reads the folder, again if something has changed there. A file that is wrong is left out, and told of.
func (d *Definitions) Read() {
	files, err := readDefinitions(d.folder)
	if err != nil {
		d.log.Error("definitions of zigbee devices not read", "folder", d.folder, "err", err)
	}
	var users []devices.User
	for _, f := range files {
		if f.err != nil {
			d.log.Error("definitions of zigbee devices left out", "path", filepath.Join(d.folder, f.name), "err", f.err)
		}
		users = append(users, f.users...)
	}
	d.users.Store(&users)
}

// Resolve is [Options].Resolve.
func (d *Definitions) Resolve(device *zigbee.Device) *devices.Definition {
	return devices.ResolveUser(*d.users.Load(), device)
}

// Teach saves what a user says of a device and takes it into use at once. Without any name
// left the file is taken away.
func (d *Definitions) Teach(bridge *Bridge, ieee zigbee.IEEEAddress, t Teaching) error {
	d.saving.Lock()
	defer d.saving.Unlock()
	u, err := bridge.Teach(ieee, t)
	if err != nil {
		return err
	}
	path, err := d.save(u)
	if err != nil {
		return err
	}
	d.Read()
	d.log.Info("a zigbee device was described", "device", ieee, "path", path, "datapoints", len(u.Definition.Datapoints))
	bridge.Redefine(u.Matches)
	return nil
}

// save writes the file of a definition, or removes it.
func (d *Definitions) save(u devices.User) (path string, err error) {
	name := definitionFileName(u)
	files, err := readDefinitions(d.folder)
	if err != nil {
		return "", err
	}
	for _, f := range files {
		if err := inTheWay(u, f, name); err != nil {
			return "", err
		}
	}
	path = filepath.Join(d.folder, name)
	if len(u.Definition.Datapoints) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("take the definition away: %w", err)
		}
	} else {
		text, err := devices.FormatUser([]devices.User{u})
		if err == nil {
			_, err = devices.ParseUser(text) // what is saved must be there after a restart
		}
		if err != nil {
			return "", &TeachingError{Reason: "this cannot be saved: " + err.Error()}
		}
		if err := os.MkdirAll(d.folder, 0o755); err != nil {
			return "", fmt.Errorf("make the folder of definitions: %w", err)
		}
		if err := renameio.WriteFile(path, text, 0o644); err != nil {
			return "", fmt.Errorf("save the definition: %w", err)
		}
	}
	return path, nil
}

// Definition returns what a user has said of a device, as a file.
func (b *Bridge) Definition(ieee zigbee.IEEEAddress) (name string, text []byte, err error) {
	u, err := b.Teach(ieee, Teaching{})
	if err != nil {
		return "", nil, err
	}
	if len(u.Definition.Datapoints) == 0 {
		return "", nil, &NotLearningError{Reason: "no datapoint of the device has a name yet: name one and save it, then there is a file"}
	}
	text, err = devices.FormatUser([]devices.User{u})
	return definitionFileName(u), text, err
}

// maxDefinitions bounds a file of definitions in bytes.
const maxDefinitions = 1 << 20

// definitionFile is a file with definitions of devices that a user has written.
type definitionFile struct {
	name  string
	users []devices.User
	err   error // why it is left out
}

// readDefinitions reads the definitions of devices that users have written, by the names of
// their files.
func readDefinitions(folder string) ([]definitionFile, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.toml"))
	var files []definitionFile
	for _, path := range paths {
		f := definitionFile{name: filepath.Base(path)}
		var info os.FileInfo
		if info, f.err = os.Stat(path); f.err == nil && info.Size() > maxDefinitions {
			f.err = fmt.Errorf("larger than %d KiB", maxDefinitions>>10)
		}
		var text []byte
		if f.err == nil {
			text, f.err = os.ReadFile(path)
		}
		if f.err == nil {
			f.users, f.err = devices.ParseUser(text)
		}
		files = append(files, f)
	}
	return files, err
}

// inTheWay says why the definition of u cannot be saved beside a file, or, if that has its
// name, over it.
func inTheWay(u devices.User, f definitionFile, name string) error {
	if f.name == name {
		if f.err != nil {
			return &TeachingError{Reason: fmt.Sprintf("the file %s, where this is to be saved, cannot be read (%v): correct it or delete it", name, f.err)}
		}
		if len(f.users) > 1 {
			return &TeachingError{Reason: "the file " + name + " describes other devices too: move them to a file of their own"}
		}
		return nil
	}
	same := zigbee.Device{ModelID: u.Models[0], ManufacturerName: u.Manufacturers[0]}
	for i := range f.users {
		// One that is for any maker gives way to one that names it.
		if other := &f.users[i]; len(other.Manufacturers) > 0 && other.Matches(&same) {
			return &TeachingError{Reason: "the file " + f.name + " describes this device already: change it there, or delete that file and start Lintel again"}
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
