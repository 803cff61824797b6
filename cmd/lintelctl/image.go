package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
)

// maxImage bounds an image that is downloaded, in bytes.
const maxImage = 16 << 30

// image is a disk image as it is read.
type image struct {
	io.Reader
	size  int64                 // bytes; 0: not known before it is read, as it is packed
	read  func() (int64, int64) // how much of the file was read, and how much there is
	close func() error
}

// openImage opens the image in a file, of which it knows by its first bytes how it is packed.
func openImage(name string) (*image, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	counting := &countingReader{r: f}
	said := bufio.NewReaderSize(counting, 1<<20)
	head, _ := said.Peek(6)
	i := &image{read: func() (int64, int64) { return counting.n.Load(), info.Size() }, close: f.Close}
	switch {
	case bytes.HasPrefix(head, []byte{0x28, 0xB5, 0x2F, 0xFD}): // RFC 8878 §3.1.1
		d, err := zstd.NewReader(said, zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			f.Close()
			return nil, err
		}
		i.Reader, i.close = d, func() error { d.Close(); return f.Close() }
	case bytes.HasPrefix(head, []byte{0x1F, 0x8B}): // RFC 1952 §2.3.1
		if i.Reader, err = gzip.NewReader(said); err != nil {
			f.Close()
			return nil, err
		}
	case bytes.HasPrefix(head, []byte("\xFD7zXZ\x00")):
		return unpackXZ(i, said, f)
	default:
		i.Reader, i.size = said, info.Size()
	}
	return i, nil
}

// unpackXZ has xz(1) unpack it: Go's library does not know how.
func unpackXZ(i *image, packed io.Reader, f *os.File) (*image, error) {
	xz := exec.Command("xz", "--decompress", "--stdout")
	xz.Stdin = packed
	var said bytes.Buffer
	xz.Stderr = &said
	out, err := xz.StdoutPipe()
	if err == nil {
		err = xz.Start()
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("the image is packed with xz, which takes the program xz: install it, or unpack the image: %w", err)
	}
	ended := false
	i.Reader = readerFunc(func(b []byte) (int, error) {
		n, err := out.Read(b)
		if err == io.EOF && !ended {
			ended = true
			if werr := xz.Wait(); werr != nil {
				return n, fmt.Errorf("xz: %w: %s", werr, strings.TrimSpace(said.String()))
			}
		}
		return n, err
	})
	i.close = func() error {
		if !ended {
			xz.Process.Kill()
			xz.Wait()
		}
		return f.Close()
	}
	return i, nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// countingReader counts what is read through it: by another goroutine than who asks for
// the count, where something unpacks it.
type countingReader struct {
	r io.Reader
	n atomic.Int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// checkSum compares the SHA-256 of a file with what it should be.
func checkSum(name, want string, p *progress) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, p.reader("checking", f, info.Size())); err != nil {
		return err
	}
	p.end()
	if got := hex.EncodeToString(sum.Sum(nil)); !strings.EqualFold(got, want) {
		return fmt.Errorf("the image is not the one that was meant, or is damaged: its SHA-256 is %s, not %s", got, want)
	}
	return nil
}

// isURL reports whether an image is to be downloaded.
func isURL(name string) bool {
	return strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://")
}

// download downloads an image into a file below folder and returns its name.
func download(ctx context.Context, url, folder string, p *progress) (string, error) {
	answer, err := get(ctx, url)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	f, err := os.CreateTemp(folder, "image")
	if err != nil {
		return "", err
	}
	n, err := io.Copy(f, io.LimitReader(p.reader("downloading", answer.Body, answer.ContentLength), maxImage+1))
	if err == nil && n > maxImage {
		err = errors.New("it is too large for an image")
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("%s: %w", url, err)
	}
	p.end()
	return f.Name(), nil
}

// publishedSum returns the SHA-256 that stands beside an image, as sha256sum(1) writes it.
func publishedSum(ctx context.Context, url string) (string, error) {
	answer, err := get(ctx, url+".sha256")
	if err != nil {
		return "", fmt.Errorf("there is no checksum beside the image: say it with --sha256: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
	if err != nil {
		return "", err
	}
	sum, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	if !isSum(sum) {
		return "", fmt.Errorf("%s.sha256 is no checksum: say it with --sha256", url)
	}
	return sum, nil
}

func isSum(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size
}

func get(ctx context.Context, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, fmt.Errorf("%s: %s", url, answer.Status)
	}
	return answer, nil
}
