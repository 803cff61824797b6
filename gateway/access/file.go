package access

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// maxTLSFile bounds each file with keys, certificates or a CRL, in bytes.
const maxTLSFile = 4 << 20

// readFile reads a file of at most limit bytes.
func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, name, limit)
}

// readAll reads what has at most limit bytes. name is for the error.
func readAll(r io.Reader, name string, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s: larger than %d KiB", name, limit>>10)
	}
	return b, err
}

// writeFile replaces a file, whole or not at all, for nobody else to read. When it
// returns the file survives that the plug is pulled.
func writeFile(name string, data []byte) error {
	next := name + ".new" // one name, so that what a power cut left is written over
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(next, name)
	}
	if err != nil {
		os.Remove(next)
		return err
	}
	d, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// setAside keeps a file that cannot be used for whoever wants to look into it. There
// is one such file for each name.
func setAside(name string) {
	os.Rename(name, name+".damaged")
}

// twin is a file of which there are two: one bad block of a card must not take the
// trust of the whole house with it, nor let in whom it had shut out.
type twin[T any] struct {
	path  string
	parse func([]byte) (T, error)
	newer func(a, b T) bool // nil: they do not change
	log   *slog.Logger
}

func (t twin[T]) names() [2]string { return [2]string{t.path, t.path + ".copy"} }

// read returns what the better one holds, and puts the other right. It fails with
// [fs.ErrNotExist] if there is neither, and with errDamaged if there is none to be
// used: both are set aside then.
func (t twin[T]) read() (value T, err error) {
	var found []T
	var texts [2]string
	var best int
	var damage error
	for i, name := range t.names() {
		b, err := readFile(name, maxTLSFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if errors.Is(err, fs.ErrPermission) {
			return value, fmt.Errorf("%w; give it back to the user that lintel runs as", err)
		}
		var v T
		if err == nil {
			v, err = t.parse(b)
		}
		if err != nil {
			damage = errors.Join(damage, fmt.Errorf("%s: %w", name, err))
			setAside(name)
			continue
		}
		texts[i] = string(b)
		if len(found) == 0 || t.newer != nil && t.newer(v, value) {
			value, best = v, i
		}
		found = append(found, v)
	}
	switch {
	case len(found) == 0 && damage == nil:
		return value, fs.ErrNotExist
	case len(found) == 0:
		return value, fmt.Errorf("%w: %w", errDamaged, damage)
	case texts[0] == texts[1]:
		return value, nil
	}
	if damage != nil {
		t.log.Warn("file damaged, its copy is used", "err", damage)
	}
	// A write that fails leaves one good file, as there was before.
	if err := writeFile(t.names()[1-best], []byte(texts[best])); err != nil {
		t.log.Warn("file has no copy", "file", t.path, "err", err)
	}
	return value, nil
}

// write replaces both. If it fails the next read may return the old value or the new.
func (t twin[T]) write(data []byte) error {
	for _, name := range t.names() {
		if err := writeFile(name, data); err != nil {
			return err
		}
	}
	return nil
}

var errDamaged = errors.New("damaged")

// parsePair reads a certificate and its key that stand in one file, so that they
// are never of two makes.
func parsePair(b []byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(b, b)
	if err != nil {
		return nil, err
	}
	return &pair, nil
}

// encodePair is what parsePair reads.
func encodePair(der []byte, key any) ([]byte, error) {
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(certificatePEM(der), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), nil
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// lookAtFiles is how often files are looked at that are read again when they change.
const lookAtFiles = time.Second

// fileStamp tells one state of a file from another. That of a file that is not there is zero.
type fileStamp struct {
	modified time.Time
	size     int64
}

func stampsOf(names []string) []fileStamp {
	stamps := make([]fileStamp, len(names))
	for i, name := range names {
		if info, err := os.Stat(name); err == nil {
			stamps[i] = fileStamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
}
