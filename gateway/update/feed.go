package update

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// A Feed is static files on a web server: an index and bundles.
type Feed struct {
	URL    string // of the index
	Keys   Keys   // that may sign the index
	Client *http.Client
}

// Index fetches the index.
func (f *Feed) Index(ctx context.Context) (*Index, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL, nil)
	if err != nil {
		return nil, err
	}
	resp, err := f.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch the index of releases: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch the index of releases: %s answers %s", f.URL, resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, MaxIndex+1))
	if err != nil {
		return nil, fmt.Errorf("fetch the index of releases: %w", err)
	}
	return ParseIndex(b, f.Keys)
}

// address returns the address of an entry's file.
func (f *Feed) address(e *Entry) (string, error) {
	base, err := url.Parse(f.URL)
	if err != nil {
		return "", err
	}
	u, err := base.Parse(e.File)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}
