package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"lintel/gateway/update"
)

// publisher makes bundles that the box of the test trusts, and has a feed of them.
type publisher struct {
	key    ed25519.PrivateKey
	kernel string // that the box runs
	board  string
	folder string // of the feed
	index  update.Index
}

func newPublisher(folder, board string) (*publisher, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, err
	}
	return &publisher{key: key, board: board, folder: folder, index: update.Index{Format: update.Format}}, nil
}

// trusted is what a box is configured with to trust the publisher.
func (p *publisher) trusted() string {
	return base64.StdEncoding.EncodeToString(p.key.Public().(ed25519.PublicKey))
}

// manifest is that of a root that the box is to take.
func (p *publisher) manifest(r *root) update.Manifest {
	return update.Manifest{
		Version: r.version, Counter: r.counter, Board: p.board, Kernel: p.kernel,
		Released: time.Now().Add(-time.Hour).UTC(), Notes: update.Notes{Summary: "Made by the test of images."},
	}
}

// bundle returns a bundle of the root, signed by the key.
func (p *publisher) bundle(m update.Manifest, r *root, key ed25519.PrivateKey) ([]byte, *update.Manifest, error) {
	file, err := os.Open(r.file)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	var b bytes.Buffer
	written, err := update.Write(&b, m, file, key)
	if err != nil {
		return nil, nil, fmt.Errorf("make the bundle of %s: %w", m.Version, err)
	}
	return b.Bytes(), written, nil
}

// publish makes the root the newest release of the feed.
func (p *publisher) publish(r *root) error {
	text, m, err := p.bundle(p.manifest(r), r, p.key)
	if err != nil {
		return err
	}
	name := r.version + ".lintel"
	if err := os.WriteFile(filepath.Join(p.folder, name), text, 0o666); err != nil {
		return err
	}
	p.index.Entries = append(p.index.Entries, update.Entry{
		Channel: update.Stable, Percent: 100, File: name, Bundle: blobOf(text), Manifest: *m,
	})
	return p.putIndex()
}

// putIndex makes the index say what is published.
func (p *publisher) putIndex() error {
	p.index.Updated = time.Now().UTC()
	index, err := p.index.Encode(p.key)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.folder, indexName), index, 0o666)
}

const indexName = "index.json"

// serve serves the feed until the returned function is called, and returns its address as
// the machine sees it.
func (p *publisher) serve() (address string, stop func() error, err error) {
	if err := p.putIndex(); err != nil {
		return "", nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := http.Server{Handler: http.FileServer(http.Dir(p.folder))}
	go server.Serve(l)
	return fmt.Sprintf("http://%s:%d/%s", hostInside, l.Addr().(*net.TCPAddr).Port, indexName), server.Close, nil
}

func blobOf(text []byte) update.Blob {
	return update.Blob{Size: int64(len(text)), SHA256: update.Hash(sha256.Sum256(text))}
}
