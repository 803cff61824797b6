package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"lintel/persist"
)

// writer writes a backup of a box.
type writer struct {
	tar      *tar.Writer
	manifest Manifest
}

// Write writes a backup of the box whose data folder and store these are to w. The files in the
// manifest are found.
func Write(ctx context.Context, w io.Writer, data string, store *persist.Store, m Manifest) error {
	b := &writer{tar: tar.NewWriter(w), manifest: m}
	if err := b.write(ctx, data, store); err != nil {
		return fmt.Errorf("back up the box: %w", err)
	}
	return nil
}

func (b *writer) write(ctx context.Context, data string, store *persist.Store) error {
	names, err := fileNames(data)
	if err != nil {
		return err
	}
	contents := make([][]byte, 0, len(names))
	total := 0
	b.manifest.Format, b.manifest.Files = format, []File{}
	for _, name := range names {
		content, err := readBounded(filepath.Join(data, filepath.FromSlash(name)), maxFile)
		if err != nil {
			return err
		}
		if total += len(content); total > maxFilesBytes {
			return fmt.Errorf("the files in %s have more than %d MiB together: move out what is not lintel's", data, maxFilesBytes>>20)
		}
		sum := sha256.Sum256(content)
		contents = append(contents, content)
		b.manifest.Files = append(b.manifest.Files, File{Name: name, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])})
	}
	text, err := json.MarshalIndent(b.manifest, "", "\t")
	if err != nil {
		return err
	}
	if err := b.member(manifestName, text); err != nil {
		return err
	}
	for i, content := range contents {
		if err := b.member(filesFolder+names[i], content); err != nil {
			return err
		}
	}
	pieces := &pieceWriter{b: b, buf: make([]byte, 0, pieceSize)}
	sum := sha256.New()
	if _, err := store.Backup(ctx, io.MultiWriter(pieces, sum), b.manifest.Small); err != nil {
		return err
	}
	if err := pieces.flush(); err != nil {
		return err
	}
	of := sha256.Sum256(text)
	end, err := json.Marshal(ending{Manifest: hex.EncodeToString(of[:]), Pieces: pieces.n, Store: hex.EncodeToString(sum.Sum(nil))})
	if err != nil {
		return err
	}
	if err := b.member(endName, end); err != nil {
		return err
	}
	return b.tar.Close()
}

func (b *writer) member(name string, content []byte) error {
	err := b.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: int64(len(content)), ModTime: b.manifest.Time.Truncate(time.Second)})
	if err == nil {
		_, err = b.tar.Write(content)
	}
	return err
}

// pieceWriter makes members of pieceSize bytes of what is written to it.
type pieceWriter struct {
	b   *writer
	buf []byte
	n   int
}

func (p *pieceWriter) Write(data []byte) (int, error) {
	for rest := data; len(rest) > 0; {
		n := min(len(rest), pieceSize-len(p.buf))
		p.buf = append(p.buf, rest[:n]...)
		rest = rest[n:]
		if len(p.buf) == pieceSize {
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
	err := p.b.member(fmt.Sprintf("%s%08d", storeFolder, p.n), p.buf)
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
