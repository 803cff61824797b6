package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// rescueTimeout is until guard shows its page, on an emulated machine.
const rescueTimeout = 8 * time.Minute

var linuxVersion = regexp.MustCompile(`Linux version (\S+)`)

// testRescue flashes a board with a version whose lintel ends at once, has guard show
// its page, and updates the box there. The clock stands in 1970 and nobody tells the time.
func testRescue(ctx context.Context, b board) error {
	dir, err := b.flash(ctx, "-rescue")
	if err != nil {
		return err
	}
	p, err := newPublisher(filepath.Join(dir, "feed"), b.image)
	if err != nil {
		return err
	}
	// guard reads no configuration: the keys are those of its release.
	broken := &root{name: "crashing", version: "test-crashing", counter: 1, keys: p.trusted(), flags: []string{"serve", "--no-such-flag"}}
	good := &root{name: "rescued", version: "test-rescued", counter: 2, keys: p.trusted()}
	for _, r := range []*root{broken, good} {
		if err := r.build(ctx, b); err != nil {
			return err
		}
	}
	if err := writeRoot(dir, broken.file); err != nil {
		return err
	}
	start := time.Now()
	return b.run(ctx, dir, settings{reboots: true, offline: true, clock: "1970-01-01"}, func(m *machine) error {
		o := m.owner()
		err := m.until(ctx, rescueTimeout, func() error {
			page, err := o.page(ctx, "/")
			if err != nil {
				return err
			}
			for _, want := range []string{"Lintel does not run", broken.version, "no-such-flag"} {
				if !strings.Contains(page, want) {
					return fmt.Errorf("the page does not say %q:\n%.3000s", want, page)
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("wait for the rescue page: %w", err)
		}
		fmt.Printf("%s: the rescue page with the log was there %.1f s after power on\n", b.name, time.Since(start).Seconds())

		linux := linuxVersion.FindSubmatch(m.console())
		if linux == nil {
			return errors.New("the console does not tell the kernel")
		}
		p.kernel = string(linux[1])
		stranger, err := newPublisher(p.folder, b.image)
		if err != nil {
			return err
		}
		bundle, _, err := stranger.bundle(p.manifest(good), good, stranger.key)
		if err != nil {
			return err
		}
		if answer, err := o.rescue(ctx, bundle); err != nil || !strings.Contains(answer, "does not know who signed") || !strings.Contains(answer, "not installed") {
			return fmt.Errorf("the answer to a bundle of a stranger: %.3000s, %w", answer, err)
		}
		if bundle, _, err = p.bundle(p.manifest(good), good, p.key); err != nil {
			return err
		}
		if answer, err := o.rescue(ctx, bundle); err != nil || !strings.Contains(answer, "in place") {
			return fmt.Errorf("the answer to a bundle: %.3000s, %w", answer, err)
		}
		if err := m.until(ctx, bootTimeout, m.connect); err != nil {
			return err
		}
		if err := m.awaitPage(ctx); err != nil {
			return err
		}
		if err := m.claimOnPage(ctx); err != nil {
			return err
		}
		if err := m.awaitVersion(ctx, good.version); err != nil {
			return err
		}
		fmt.Printf("%s: rescued by an upload, %.0f s after power on and %d starts\n", b.name, time.Since(start).Seconds(), m.started())
		return nil
	})
}

// rescue uploads a bundle to guard's page and returns what it says.
func (o *owner) rescue(ctx context.Context, bundle []byte) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "POST", "http://"+o.m.http+"/update", bytes.NewReader(bundle))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/octet-stream")
	var patient http.Client
	answer, err := patient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	return string(text), err
}
