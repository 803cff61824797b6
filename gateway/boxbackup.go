package gateway

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lintel/gateway/homeassistant"
	"lintel/persist"
)

// # A backup of a box
//
// A tar archive, so that a person can look into it with what is everywhere. Its members,
// in this order:
//
//	lintel-box.json   the manifest: format, box, version, time, the files with their SHA-256
//	files/NAME        each file of the manifest: the configuration, roles, schemas, keys, tls/
//	store/NNNNNNNN    pieces of a backup of the store (package persist), 1 MiB each but the last
//	end.json          how many pieces there are and the SHA-256 of the manifest and of the store's backup
//
// The store's backup comes in pieces because tar wants to know sizes before bytes and the
// box does not make copies of its store on the card to find out. With a passphrase all
// that is within the age format, as a backup of a store alone is.
//
// A box that this is restored on takes the identity of the old one (see identify): Home
// Assistant, devices and radios go on with it as before.

const (
	boxFormat       = 1
	boxManifestName = "lintel-box.json"
	boxEndName      = "end.json"
	boxFiles        = "files/"
	boxStore        = "store/"

	boxPiece         = 1 << 20
	maxBoxManifest   = 1 << 20
	maxBoxFile       = 4 << 20  // bytes of one file
	maxBoxFilesBytes = 32 << 20 // of all files
	maxBoxFiles      = 1000
	maxBoxDepth      = 4 // folders and name

	boxIDFile = "box-id"
)

// BoxManifest tells what is in a backup of a box.
type BoxManifest struct {
	Format  int       `json:"format"`
	Box     string    `json:"box"` // its id
	Name    string    `json:"name"`
	Model   string    `json:"model"`
	Version string    `json:"version"`
	Time    time.Time `json:"time"`
	Small   bool      `json:"small"` // without queued messages
	Files   []BoxFile `json:"files"`
}

// BoxFile is a file of the data folder.
type BoxFile struct {
	Name   string `json:"name"` // relative to the data folder, with slashes
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// String says which box it is and of when.
func (m BoxManifest) String() string {
	return fmt.Sprintf("%s, %s, version %s, of %s, %d files", m.Name, m.Model, m.Version, m.Time.UTC().Format("2006-01-02 15:04:05"), len(m.Files))
}

type boxEnd struct {
	Manifest string `json:"manifest"` // SHA-256 of it
	Pieces   int    `json:"pieces"`
	Store    string `json:"store"` // SHA-256 of all pieces
}

// boxOwn reports whether an entry at the top of the data folder is no file of a person's
// or of the box's identity: stores, what works on them, sockets, what is made anew.
func boxOwn(name string) bool {
	for _, prefix := range []string{"store-", "simulated-", "lintel-preseed", "lintel-reset", "."} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains([]string{"store", "update", restoring, restored, beforeRestore, controlSocket, boxIDFile}, name)
}

// boxFileNames lists the files of a data folder that belong into a backup, sorted.
func boxFileNames(data string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(data, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(data, name)
		if err != nil || rel == "." {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case !strings.Contains(rel, "/") && boxOwn(rel):
		case e.IsDir() && strings.Count(rel, "/")+1 < maxBoxDepth:
			return nil
		case e.Type().IsRegular():
			names = append(names, rel)
			if len(names) > maxBoxFiles {
				return fmt.Errorf("there are more than %d files in %s: move out what is not lintel's", maxBoxFiles, data)
			}
			return nil
		}
		if e.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	return names, err
}

// boxWriter writes a backup of a box.
type boxWriter struct {
	tar      *tar.Writer
	manifest BoxManifest
}

// writeBox writes a backup of the box whose data folder and store these are to w.
func writeBox(ctx context.Context, w io.Writer, data string, store *persist.Store, m BoxManifest) error {
	b := &boxWriter{tar: tar.NewWriter(w), manifest: m}
	if err := b.write(ctx, data, store); err != nil {
		return fmt.Errorf("back up the box: %w", err)
	}
	return nil
}

func (b *boxWriter) write(ctx context.Context, data string, store *persist.Store) error {
	names, err := boxFileNames(data)
	if err != nil {
		return err
	}
	contents := make([][]byte, 0, len(names))
	total := 0
	b.manifest.Format, b.manifest.Files = boxFormat, []BoxFile{}
	for _, name := range names {
		content, err := readBounded(filepath.Join(data, filepath.FromSlash(name)), maxBoxFile)
		if err != nil {
			return err
		}
		if total += len(content); total > maxBoxFilesBytes {
			return fmt.Errorf("the files in %s have more than %d MiB together: move out what is not lintel's", data, maxBoxFilesBytes>>20)
		}
		sum := sha256.Sum256(content)
		contents = append(contents, content)
		b.manifest.Files = append(b.manifest.Files, BoxFile{Name: name, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])})
	}
	text, err := json.MarshalIndent(b.manifest, "", "\t")
	if err != nil {
		return err
	}
	if err := b.member(boxManifestName, text); err != nil {
		return err
	}
	for i, content := range contents {
		if err := b.member(boxFiles+names[i], content); err != nil {
			return err
		}
	}
	pieces := &pieceWriter{b: b, buf: make([]byte, 0, boxPiece)}
	sum := sha256.New()
	if _, err := store.Backup(ctx, io.MultiWriter(pieces, sum), b.manifest.Small); err != nil {
		return err
	}
	if err := pieces.flush(); err != nil {
		return err
	}
	of := sha256.Sum256(text)
	end, err := json.Marshal(boxEnd{Manifest: hex.EncodeToString(of[:]), Pieces: pieces.n, Store: hex.EncodeToString(sum.Sum(nil))})
	if err != nil {
		return err
	}
	if err := b.member(boxEndName, end); err != nil {
		return err
	}
	return b.tar.Close()
}

func (b *boxWriter) member(name string, content []byte) error {
	err := b.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: int64(len(content)), ModTime: b.manifest.Time.Truncate(time.Second)})
	if err == nil {
		_, err = b.tar.Write(content)
	}
	return err
}

// pieceWriter makes members of boxPiece bytes of what is written to it.
type pieceWriter struct {
	b   *boxWriter
	buf []byte
	n   int
}

func (p *pieceWriter) Write(data []byte) (int, error) {
	for rest := data; len(rest) > 0; {
		n := min(len(rest), boxPiece-len(p.buf))
		p.buf = append(p.buf, rest[:n]...)
		rest = rest[n:]
		if len(p.buf) == boxPiece {
			if err := p.flush(); err != nil {
				return 0, err
			}
		}
	}
	return len(data), nil
}

func (p *pieceWriter) flush() error {
	if len(p.buf) == 0 {
		return nil
	}
	p.n++
	err := p.b.member(fmt.Sprintf("%s%08d", boxStore, p.n), p.buf)
	p.buf = p.buf[:0]
	return err
}

// readBounded reads a file of at most limit bytes.
func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("%s is larger than %d MiB: move it out of the data folder, or make it smaller", name, limit>>20)
	}
	return content, err
}

// boxReader reads a backup of a box and believes nothing in it.
type boxReader struct {
	tar      *tar.Reader
	manifest BoxManifest
	sum      string // SHA-256 of the manifest
}

// openBox reads the manifest.
func openBox(r io.Reader) (*boxReader, error) {
	b := &boxReader{tar: tar.NewReader(r)}
	text, err := b.small(boxManifestName, maxBoxManifest)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &b.manifest); err != nil {
		return nil, boxDamaged("its manifest cannot be read: %v", err)
	}
	sum := sha256.Sum256(text)
	b.sum = hex.EncodeToString(sum[:])
	m := &b.manifest
	switch {
	case m.Format != boxFormat:
		return nil, fmt.Errorf("this backup has the format %d, and this lintel knows %d: update lintel first", m.Format, boxFormat)
	case m.Box == "" || m.Box != clean(m.Box) || len(m.Box) > 64:
		return nil, boxDamaged("it does not say of which box it is")
	case len(m.Files) > maxBoxFiles:
		return nil, boxDamaged("it has %d files", len(m.Files))
	}
	total := int64(0)
	for i, f := range m.Files {
		if total += f.Size; f.Size < 0 || f.Size > maxBoxFile || total > maxBoxFilesBytes {
			return nil, boxDamaged("its files are too large")
		}
		if !goodBoxName(f.Name) || slices.ContainsFunc(m.Files[:i], func(o BoxFile) bool { return o.Name == f.Name }) {
			return nil, boxDamaged("%q is no name of a file in it", f.Name)
		}
	}
	return b, nil
}

// goodBoxName reports whether a name may be that of a file in a backup.
func goodBoxName(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return fs.ValidPath(name) && name != "." && path.Clean(name) == name && !strings.ContainsAny(name, "\\:\x00") &&
		strings.Count(name, "/") < maxBoxDepth && len(name) <= 255 && !boxOwn(first)
}

// boxDamaged is an error about bytes that no lintel has written.
func boxDamaged(format string, args ...any) error {
	return fmt.Errorf("this is no backup of a box, or it is damaged: "+format+": use another one", args...)
}

// next goes to the member of this name, which has at most limit bytes.
func (b *boxReader) next(name string, limit int64) (int64, error) {
	h, err := b.tar.Next()
	if err != nil {
		return 0, boxDamaged("%s is missing: %v", name, err)
	}
	if h.Name != name || h.Typeflag != tar.TypeReg || h.Size > limit {
		return 0, boxDamaged("%s should be where %q is", name, h.Name)
	}
	return h.Size, nil
}

func (b *boxReader) small(name string, limit int64) ([]byte, error) {
	if _, err := b.next(name, limit); err != nil {
		return nil, err
	}
	content, err := io.ReadAll(b.tar)
	if err != nil {
		return nil, boxDamaged("%s: %v", name, err)
	}
	return content, nil
}

// file reads the next file, which is f.
func (b *boxReader) file(f BoxFile) ([]byte, error) {
	content, err := b.small(boxFiles+f.Name, f.Size)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != f.SHA256 {
		return nil, boxDamaged("%s is not what it was", f.Name)
	}
	return content, nil
}

// store returns a reader of the store's backup. It ends without an error only if that is
// whole and nothing follows it.
func (b *boxReader) store() io.Reader {
	return &pieceReader{b: b, sum: sha256.New()}
}

type pieceReader struct {
	b    *boxReader
	sum  hash.Hash
	n    int   // pieces begun
	left int64 // of the piece
	last bool  // it was shorter than boxPiece
	err  error
}

func (p *pieceReader) Read(buf []byte) (int, error) {
	for p.err == nil && p.left == 0 {
		p.err = p.begin()
	}
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.b.tar.Read(buf[:min(int64(len(buf)), p.left)])
	p.left -= int64(n)
	p.sum.Write(buf[:n])
	if err != nil && p.left > 0 {
		p.err = boxDamaged("piece %d of the store: %v", p.n, err)
	}
	return n, nil
}

// begin goes to the next piece, or to the end.
func (p *pieceReader) begin() error {
	h, err := p.b.tar.Next()
	if err != nil {
		return boxDamaged("piece %d of the store is missing: %v", p.n+1, err)
	}
	if h.Typeflag == tar.TypeReg && h.Name == boxEndName && h.Size <= maxBoxManifest && p.n > 0 {
		return p.end()
	}
	p.n++
	if h.Name != fmt.Sprintf("%s%08d", boxStore, p.n) || h.Typeflag != tar.TypeReg || h.Size < 1 || h.Size > boxPiece || p.last {
		return boxDamaged("piece %d of the store should be where %q is", p.n, h.Name)
	}
	p.left, p.last = h.Size, h.Size < boxPiece
	return nil
}

func (p *pieceReader) end() error {
	text, err := io.ReadAll(p.b.tar)
	if err != nil {
		return boxDamaged("%s: %v", boxEndName, err)
	}
	var end boxEnd
	if err := json.Unmarshal(text, &end); err != nil {
		return boxDamaged("%s: %v", boxEndName, err)
	}
	if end.Manifest != p.b.sum {
		return boxDamaged("its manifest is not what it was")
	}
	if end.Pieces != p.n || end.Store != hex.EncodeToString(p.sum.Sum(nil)) {
		return boxDamaged("the store in it is not what it was")
	}
	if h, err := p.b.tar.Next(); err == nil {
		return boxDamaged("%q follows its end", h.Name)
	} else if err != io.EOF {
		return boxDamaged("after its end: %v", err)
	}
	return io.EOF
}

// boxManifest says what a backup that is made now is to say of its box.
func boxManifest(box homeassistant.Box, small bool) BoxManifest {
	return BoxManifest{Box: box.ID, Name: box.Name, Model: box.Model, Version: box.Version, Time: time.Now(), Small: small}
}
