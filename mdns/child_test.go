package mdns

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// These in the environment make the test binary an advertiser or a browser, so that
// one can run inside a network namespace.
const (
	childOptions = "MDNS_TEST_ADVERTISE"
	childTypes   = "MDNS_TEST_BROWSE"
)

func TestMain(m *testing.M) {
	for key, run := range map[string]func(string) error{childOptions: advertise, childTypes: browse} {
		if text, ok := os.LookupEnv(key); ok {
			if err := run(text); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		}
	}
	// In their namespaces nearly all tests wait, for what the protocol makes hosts wait: it is
	// not for the processors to say how many may.
	flag.Set("test.parallel", "8")
	os.Exit(m.Run())
}

// browse runs a Browser until SIGTERM. After each change it prints a line of JSON
// with everything that is there, as testdata/browse.py does.
func browse(types string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	kinds := strings.Fields(types)
	var b *Browser
	b = NewBrowser(BrowserOptions{
		Types:  kinds,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})),
		changed: func() {
			state := make(map[string]string)
			for _, kind := range kinds {
				for _, f := range b.Found(kind) {
					words := slices.Clone(f.Text)
					for _, a := range f.Addresses {
						words = append(words, a.String())
					}
					slices.Sort(words)
					state[f.Instance+"."+f.Type] = fmt.Sprintf("%s:%d %s", f.Host, f.Port, strings.Join(words, " "))
				}
			}
			line, err := json.Marshal(state)
			if err != nil {
				panic(err)
			}
			fmt.Println(string(line))
		},
	})
	return b.Run(ctx)
}

// advertise runs an Advertiser until SIGTERM. It prints the host name in use, again
// whenever that changes, and what OnRename is told as JSON.
func advertise(text string) error {
	var opt Options
	if err := json.Unmarshal([]byte(text), &opt); err != nil {
		return err
	}
	opt.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	opt.OnRename = func(renamed map[string]string) {
		line, err := json.Marshal(renamed)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(line))
	}
	a := New(opt)
	go func() {
		for last := ""; ctx.Err() == nil; <-time.After(50 * time.Millisecond) {
			if h := a.Host(); h != last {
				fmt.Println(h)
				last = h
			}
		}
	}()
	return a.Run(ctx)
}
