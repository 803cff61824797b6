package serialbridge

import (
	"context"
	"iter"
	"maps"
	"strings"
	"sync"
)

// What drivers may remember.
const (
	maxMemoryKey   = 64 // bytes
	maxMemoryValue = 1 << 10
	maxMemoryKeys  = 1024 // for each protocol
)

// Memory is where what drivers remember outlasts the program: by protocol and
// key with a slash in between. It is a *persist.Bucket.
type Memory interface {
	All() iter.Seq2[string, string]
	Put(ctx context.Context, key, value string) error
	Delete(ctx context.Context, key string) error
}

// memory holds what drivers remember, and writes down what is new.
type memory struct {
	kept Memory // nil: nothing outlasts the program
	wake chan struct{}

	mu    sync.Mutex
	texts map[string]map[string]string // by protocol and key
	dirty map[string]bool              // protocol/key, to be written down
}

func newMemory(kept Memory) *memory {
	m := &memory{kept: kept, wake: make(chan struct{}, 1), texts: make(map[string]map[string]string), dirty: make(map[string]bool)}
	if kept != nil {
		for path, value := range kept.All() {
			protocol, key, _ := strings.Cut(path, "/")
			m.set(protocol, key, value)
		}
	}
	return m
}

func (m *memory) set(protocol, key, value string) {
	if m.texts[protocol] == nil {
		m.texts[protocol] = make(map[string]string)
	}
	if m.texts[protocol][key] = value; value == "" {
		delete(m.texts[protocol], key)
	}
}

func (m *memory) recall(protocol string) map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	texts := make(map[string]string, len(m.texts[protocol]))
	maps.Copy(texts, m.texts[protocol])
	return texts
}

// remember keeps a text. It returns why it does not, or "".
func (m *memory) remember(protocol, key, value string) (trouble string) {
	if key == "" || len(key) > maxMemoryKey || len(value) > maxMemoryValue ||
		strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "unusable memory"
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	texts := m.texts[protocol]
	before, known := texts[key]
	if before == value {
		return ""
	}
	if !known && len(texts) >= maxMemoryKeys {
		return "memory full"
	}
	m.set(protocol, key, value)
	m.dirty[protocol+"/"+key] = true
	select {
	case m.wake <- struct{}{}:
	default:
	}
	return ""
}

// next returns something that is to be written down.
func (m *memory) next() (path, value string, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for path := range m.dirty {
		delete(m.dirty, path)
		protocol, key, _ := strings.Cut(path, "/")
		return path, m.texts[protocol][key], true
	}
	return "", "", false
}

// keep writes down what is new until ctx ends, and then what is left. What cannot
// be written is told to complain and is tried again when the driver says it anew.
func (m *memory) keep(ctx context.Context, complain func(error)) {
	for {
		for {
			path, value, ok := m.next()
			if !ok {
				break
			}
			if m.kept == nil {
				continue
			}
			// The end of ctx is the end of the house, not of the store.
			write, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
			var err error
			if value == "" {
				err = m.kept.Delete(write, path)
			} else {
				err = m.kept.Put(write, path, value)
			}
			cancel()
			if err != nil {
				complain(err)
			}
		}
		select {
		case <-m.wake:
		case <-ctx.Done():
			if len(m.wake) == 0 {
				return
			}
		}
	}
}
