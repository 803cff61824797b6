package backup

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// reader reads a backup of a box and believes nothing in it.
type reader struct {
	tar      *tar.Reader
	manifest Manifest
	sum      string // SHA-256 of the manifest
}

// open reads the manifest.
func open(r io.Reader) (*reader, error) {
	b := &reader{tar: tar.NewReader(r)}
	text, err := b.small(manifestName, maxManifest)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &b.manifest); err != nil {
		return nil, damaged("its manifest cannot be read: %v", err)
	}
	sum := sha256.Sum256(text)
	b.sum = hex.EncodeToString(sum[:])
	m := &b.manifest
	switch {
	case m.Format != format:
		return nil, fmt.Errorf("this backup has the format %d, and this lintel knows %d: update lintel first", m.Format, format)
	case m.Box == "" || strings.Trim(m.Box, "0123456789abcdefghijklmnopqrstuvwxyz") != "" || len(m.Box) > 64:
		return nil, damaged("it does not say of which box it is")
	case len(m.Files) > maxFiles:
		return nil, damaged("it has %d files", len(m.Files))
	}
	total := int64(0)
	for i, f := range m.Files {
		if total += f.Size; f.Size < 0 || f.Size > maxFile || total > maxFilesBytes {
			return nil, damaged("its files are too large")
		}
		if !goodName(f.Name) || slices.ContainsFunc(m.Files[:i], func(o File) bool { return o.Name == f.Name }) {
			return nil, damaged("%q is no name of a file in it", f.Name)
		}
	}
	return b, nil
}

// goodName reports whether a name may be that of a file in a backup.
func goodName(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return fs.ValidPath(name) && name != "." && path.Clean(name) == name && !strings.ContainsAny(name, "\\:\x00") &&
		strings.Count(name, "/") < maxDepth && len(name) <= 255 && !own(first)
}

// damaged is an error about bytes that no lintel has written.
func damaged(format string, args ...any) error {
	return fmt.Errorf("this is no backup of a box, or it is damaged: "+format+": use another one", args...)
}

// next goes to the member of this name, which has at most limit bytes.
func (b *reader) next(name string, limit int64) (int64, error) {
	h, err := b.tar.Next()
	if err != nil {
		return 0, damaged("%s is missing: %v", name, err)
	}
	if h.Name != name || h.Typeflag != tar.TypeReg || h.Size > limit {
		return 0, damaged("%s should be where %q is", name, h.Name)
	}
	return h.Size, nil
}

func (b *reader) small(name string, limit int64) ([]byte, error) {
	if _, err := b.next(name, limit); err != nil {
		return nil, err
	}
	content, err := io.ReadAll(b.tar)
	if err != nil {
		return nil, damaged("%s: %v", name, err)
	}
	return content, nil
}

// file reads the next file, which is f.
func (b *reader) file(f File) ([]byte, error) {
	content, err := b.small(filesFolder+f.Name, f.Size)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != f.SHA256 {
		return nil, damaged("%s is not what it was", f.Name)
	}
	return content, nil
}

// store returns a reader of the store's backup. It ends without an error only if that is
// whole and nothing follows it.
func (b *reader) store() io.Reader {
	return &pieceReader{b: b, sum: sha256.New()}
}

type pieceReader struct {
	b    *reader
	sum  hash.Hash
	n    int   // pieces begun
	left int64 // of the piece
	last bool  // it was shorter than pieceSize
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
		p.err = damaged("piece %d of the store: %v", p.n, err)
	}
	return n, nil
}

// begin goes to the next piece, or to the end.
func (p *pieceReader) begin() error {
	h, err := p.b.tar.Next()
	if err != nil {
		return damaged("piece %d of the store is missing: %v", p.n+1, err)
	}
	if h.Typeflag == tar.TypeReg && h.Name == endName && h.Size <= maxManifest && p.n > 0 {
		return p.end()
	}
	p.n++
	if h.Name != fmt.Sprintf("%s%08d", storeFolder, p.n) || h.Typeflag != tar.TypeReg || h.Size < 1 || h.Size > pieceSize || p.last {
		return damaged("piece %d of the store should be where %q is", p.n, h.Name)
	}
	p.left, p.last = h.Size, h.Size < pieceSize
	return nil
}

func (p *pieceReader) end() error {
	text, err := io.ReadAll(p.b.tar)
	if err != nil {
		return damaged("%s: %v", endName, err)
	}
	var end ending
	if err := json.Unmarshal(text, &end); err != nil {
		return damaged("%s: %v", endName, err)
	}
	if end.Manifest != p.b.sum {
		return damaged("its manifest is not what it was")
	}
	if end.Pieces != p.n || end.Store != hex.EncodeToString(p.sum.Sum(nil)) {
		return damaged("the store in it is not what it was")
	}
	if h, err := p.b.tar.Next(); err == nil {
		return damaged("%q follows its end", h.Name)
	} else if err != io.EOF {
		return damaged("after its end: %v", err)
	}
	return io.EOF
}
