package ota

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"lintel/serialbridge/zigbee"
)

const (
	maxIndex   = 16 << 20
	maxEntries = 20_000
	// indexAge is how long an index is good before it is fetched again.
	indexAge = time.Hour
)

// Entry is an image of an index.
type Entry struct {
	FileName           string   `json:"fileName"`
	FileVersion        uint32   `json:"fileVersion"`
	URL                string   `json:"url"`
	ImageType          uint16   `json:"imageType"`
	ManufacturerCode   uint16   `json:"manufacturerCode"`
	SHA512             string   `json:"sha512"`
	ModelID            string   `json:"modelId"`
	ManufacturerName   []string `json:"manufacturerName"`
	MinFileVersion     *uint32  `json:"minFileVersion"` // of the firmware to be replaced
	MaxFileVersion     *uint32  `json:"maxFileVersion"`
	HardwareVersionMin *uint16  `json:"hardwareVersionMin"`
	HardwareVersionMax *uint16  `json:"hardwareVersionMax"`
	ReleaseNotes       string   `json:"releaseNotes"`

	data []byte // of an image in the folder
}

// Query is what a device says when it asks for an image (section 11.13.4).
type Query struct {
	ManufacturerCode, ImageType uint16
	FileVersion                 uint32 // that it has
	HardwareVersion             *uint16
}

// fits says whether the entry is for the device.
func (e *Entry) fits(d zigbee.Device, q Query) bool {
	switch {
	case e.ManufacturerCode != q.ManufacturerCode || e.ImageType != q.ImageType,
		e.ModelID != "" && e.ModelID != d.ModelID,
		len(e.ManufacturerName) > 0 && !slices.Contains(e.ManufacturerName, d.ManufacturerName),
		e.MinFileVersion != nil && q.FileVersion < *e.MinFileVersion,
		e.MaxFileVersion != nil && q.FileVersion > *e.MaxFileVersion:
		return false
	case q.HardwareVersion == nil:
		return true
	}
	return (e.HardwareVersionMin == nil || *q.HardwareVersion >= *e.HardwareVersionMin) &&
		(e.HardwareVersionMax == nil || *q.HardwareVersion <= *e.HardwareVersionMax)
}

// library is where images come from.
type library struct {
	index  string // URL or path; empty: none
	folder string // empty: none
	client *http.Client

	mu      sync.Mutex
	entries []Entry
	fetched time.Time
}

// all returns the entries of folder and index, those of the folder first. An index that
// cannot be fetched is an error only if there is no older copy.
func (l *library) all(ctx context.Context) ([]Entry, error) {
	own, err := l.local()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.index == "" || !l.fetched.IsZero() && time.Since(l.fetched) < indexAge {
		return append(own, l.entries...), nil
	}
	text, err := l.read(ctx, l.index, maxIndex)
	var entries []Entry
	if err == nil {
		err = json.Unmarshal(text, &entries)
	}
	if err == nil && len(entries) > maxEntries {
		err = fmt.Errorf("%d entries", len(entries))
	}
	if err != nil {
		if l.fetched.IsZero() {
			return nil, fmt.Errorf("ota: read the index of images: %w (is the box on the internet?)", err)
		}
		return append(own, l.entries...), nil
	}
	l.entries, l.fetched = entries, time.Now()
	return append(own, entries...), nil
}

// local returns the images in the folder. One that is damaged is left out.
func (l *library) local() ([]Entry, error) {
	if l.folder == "" {
		return nil, nil
	}
	files, err := os.ReadDir(l.folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ota: read the folder of images: %w", err)
	}
	var entries []Entry
	for _, f := range files {
		data, err := readFile(filepath.Join(l.folder, f.Name()), maxImage+headerSize)
		if err != nil {
			continue
		}
		if i, err := ParseImage(data); err == nil {
			entries = append(entries, Entry{FileName: f.Name(), FileVersion: i.FileVersion, ImageType: i.ImageType, ManufacturerCode: i.ManufacturerCode,
				HardwareVersionMin: i.MinHardware, HardwareVersionMax: i.MaxHardware, URL: "file:" + f.Name(), data: i.Data})
		}
	}
	return entries, nil
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > limit {
		return nil, errors.New("no regular file, or too large")
	}
	return io.ReadAll(io.LimitReader(f, limit))
}

// read fetches a URL, or reads a file that the configuration names.
func (l *library) read(ctx context.Context, where string, limit int64) ([]byte, error) {
	u, err := url.Parse(where)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		if where == l.index {
			return readFile(where, limit)
		}
		return nil, fmt.Errorf("%q is no http or https URL", where)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return nil, err
	}
	response, err := l.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", where, response.Status)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s: more than %d bytes", where, limit)
	}
	return data, err
}

// find returns the best entry for a device, or nil: the newest that is newer, or with
// downgrade the newest that is older.
func (l *library) find(ctx context.Context, d zigbee.Device, q Query, downgrade bool) (*Entry, error) {
	entries, err := l.all(ctx)
	if err != nil {
		return nil, err
	}
	var best *Entry
	for i := range entries {
		e := &entries[i]
		if !e.fits(d, q) || e.FileVersion == q.FileVersion || (e.FileVersion < q.FileVersion) != downgrade {
			continue
		}
		if best == nil || e.FileVersion > best.FileVersion {
			best = e
		}
	}
	return best, nil
}

// image fetches the image of an entry, and makes sure that it is the one.
func (l *library) image(ctx context.Context, e *Entry) (*Image, error) {
	data := e.data
	if data == nil {
		var err error
		if data, err = l.read(ctx, e.URL, maxImage+headerSize); err != nil {
			return nil, fmt.Errorf("ota: fetch the image: %w", err)
		}
		if sum := sha512.Sum512(data); e.SHA512 != "" && !strings.EqualFold(e.SHA512, hex.EncodeToString(sum[:])) {
			return nil, errors.New("ota: the image is not the one that the index means: its hash differs")
		}
	}
	i, err := ParseImage(data)
	if err != nil {
		return nil, err
	}
	if e.ManufacturerCode != i.ManufacturerCode || e.ImageType != i.ImageType || e.FileVersion != i.FileVersion {
		return nil, errors.New("ota: the image says that it is another one than the index does")
	}
	return i, nil
}
