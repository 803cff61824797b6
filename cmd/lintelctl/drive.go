package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// drive is a whole disk of this machine.
type drive struct {
	Name      string   `json:"name"` // as people call it: sdb, disk4, 2
	Path      string   `json:"path"` // that is written to
	Model     string   `json:"model"`
	Size      int64    `json:"size"` // bytes
	Removable bool     `json:"removable"`
	ReadOnly  bool     `json:"read_only"`
	System    bool     `json:"system"` // this machine runs from it
	Mounted   []string `json:"mounted"`
	Used      string   `json:"used,omitempty"` // by what else it is in use
	Why       string   `json:"refused,omitempty"`
}

// refusal says why a drive must not be written to; empty: it may.
func (d *drive) refusal() string {
	switch {
	case d.System:
		return "this machine runs from it"
	case !d.Removable:
		return "it is not removable"
	case d.ReadOnly:
		return "it is write-protected"
	case d.Size == 0:
		return "there is no card in it"
	case len(d.Mounted) > 0:
		return "it is in use at " + strings.Join(d.Mounted, ", ") + ": eject it there first, without pulling it out"
	case d.Used != "":
		return "it is in use by " + d.Used
	}
	return ""
}

// formatSize writes a size as it stands on a card.
func formatSize(n int64) string {
	f, unit := float64(n), 0
	for f >= 1000 && unit < 4 {
		f /= 1000
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %cB", f, " kMGT"[unit])
}

// plist is a value of an Apple property list in XML, as diskutil prints it: a string, an
// int64, a bool, a []any or a map[string]any.
func plist(r io.Reader) (any, error) {
	d := xml.NewDecoder(r)
	for {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("this is no property list: %w", err)
		}
		if s, ok := t.(xml.StartElement); ok && s.Name.Local != "plist" {
			return plistValue(d, s, 0)
		}
	}
}

// maxPlistDepth bounds lists in lists.
const maxPlistDepth = 32

func plistValue(d *xml.Decoder, start xml.StartElement, depth int) (any, error) {
	if depth > maxPlistDepth {
		return nil, errors.New("this property list is too deep")
	}
	var list []any
	tree := make(map[string]any)
	key, text := "", ""
	for {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.CharData:
			text += string(t)
		case xml.StartElement:
			v, err := plistValue(d, t, depth+1)
			if err != nil {
				return nil, err
			}
			if s, ok := v.(string); ok && t.Name.Local == "key" {
				key = s
			} else {
				list, tree[key] = append(list, v), v
			}
		case xml.EndElement:
			switch start.Name.Local {
			case "dict":
				return tree, nil
			case "array":
				return list, nil
			case "true", "false":
				return start.Name.Local == "true", nil
			case "integer":
				return strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			}
			return text, nil
		}
	}
}

// value returns what a dictionary has for a key, or the zero value.
func value[T any](tree any, key string) T {
	m, _ := tree.(map[string]any)
	v, _ := m[key].(T)
	return v
}

// parseDiskutilList reads diskutil list -plist: the disks, with what of them is mounted. A
// container of APFS is a disk of its own there, and tells where it really lies.
func parseDiskutilList(r io.Reader) ([]drive, error) {
	tree, err := plist(r)
	if err != nil {
		return nil, err
	}
	drives := []drive{}
	var containers []any
	for _, disk := range value[[]any](tree, "AllDisksAndPartitions") {
		name := value[string](disk, "DeviceIdentifier")
		if len(value[[]any](disk, "APFSPhysicalStores")) > 0 {
			containers = append(containers, disk)
			continue
		}
		if name == "" || strings.ContainsAny(name, "/ ") {
			continue
		}
		// The device without a buffer, which writes and reads the card itself.
		k := drive{Name: name, Path: "/dev/r" + name, Size: value[int64](disk, "Size"), Mounted: []string{}}
		for _, part := range append([]any{disk}, value[[]any](disk, "Partitions")...) {
			if at := value[string](part, "MountPoint"); at != "" {
				k.Mounted = append(k.Mounted, at)
				k.System = k.System || at == "/"
			}
		}
		drives = append(drives, k)
	}
	for _, c := range containers {
		for _, store := range value[[]any](c, "APFSPhysicalStores") {
			for i := range drives {
				if !strings.HasPrefix(value[string](store, "DeviceIdentifier"), drives[i].Name+"s") {
					continue
				}
				for _, volume := range value[[]any](c, "APFSVolumes") {
					if at := value[string](volume, "MountPoint"); at != "" {
						drives[i].Mounted = append(drives[i].Mounted, at)
						drives[i].System = drives[i].System || at == "/" || strings.HasPrefix(at, "/System/")
					}
				}
			}
		}
	}
	return drives, nil
}

// parseDiskutilInfo reads diskutil info -plist DISK into what is known of that disk.
func parseDiskutilInfo(r io.Reader, k *drive) error {
	tree, err := plist(r)
	if err != nil {
		return err
	}
	k.Model = strings.TrimSpace(value[string](tree, "MediaName"))
	if size := value[int64](tree, "TotalSize"); size > 0 {
		k.Size = size
	}
	bus := value[string](tree, "BusProtocol")
	k.ReadOnly = !value[bool](tree, "WritableMedia")
	// A disk outside that is not removable may hold the backups of a household.
	k.Removable = value[string](tree, "VirtualOrPhysical") != "Virtual" && bus != "Disk Image" &&
		(value[bool](tree, "RemovableMedia") || bus == "Secure Digital")
	return nil
}

// parseGetDisk reads what getDisk prints. Windows gives each card a drive letter at once and
// has no way to take it off by hand, so that one is no refusal: the volumes are locked and
// dismounted before anything is written, which fails while a program has a file there open.
// letters are theirs by the name of the drive.
func parseGetDisk(r io.Reader) (drives []drive, letters map[string][]string, err error) {
	var disks []struct {
		Number   *int
		Model    string
		Size     int64
		Bus      string
		Media    string
		System   bool
		ReadOnly bool
		Letters  []string
	}
	if err := json.NewDecoder(r).Decode(&disks); err != nil {
		return nil, nil, fmt.Errorf("what Get-Disk prints is not what was expected: %w", err)
	}
	drives, letters = []drive{}, make(map[string][]string)
	for _, d := range disks {
		if d.Number == nil || *d.Number < 0 {
			continue
		}
		k := drive{Name: strconv.Itoa(*d.Number), Path: `\\.\PhysicalDrive` + strconv.Itoa(*d.Number), Model: strings.TrimSpace(d.Model),
			Size: d.Size, System: d.System, ReadOnly: d.ReadOnly, Mounted: []string{}}
		k.Removable = d.Bus == "SD" || d.Bus == "MMC" || d.Bus == "USB" && d.Media == "Removable Media"
		for _, l := range d.Letters {
			if len(l) == 1 && l[0] >= 'A' && l[0] <= 'Z' {
				letters[k.Name] = append(letters[k.Name], l)
			}
		}
		drives = append(drives, k)
	}
	return drives, letters, nil
}
