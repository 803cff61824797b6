package access

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestAPITokens(t *testing.T) {
	ctx := t.Context()
	h := newPageHouse(t)
	secret, err := h.tokens.Create(ctx, "grafana", Viewer, "ada")
	if err != nil {
		t.Fatal(err)
	}
	admin, err := h.tokens.Create(ctx, "backup job", Admin, "ada")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if got, ok := h.tokens.Verify(ctx, secret); !ok || got.Name != "grafana" || got.Level != Viewer || got.By != "ada" {
			t.Errorf("start %d: %+v %t", i, got, ok)
		}
		if got, ok := h.tokens.Verify(ctx, admin); !ok || got.Level != Admin {
			t.Errorf("start %d: %+v %t", i, got, ok)
		}
		h.reopen()
	}
	for _, wrong := range []string{"", apiTokenPrefix, secret[:len(secret)-1], secret + "x", strings.TrimPrefix(secret, apiTokenPrefix), digest(secret)} {
		if got, ok := h.tokens.Verify(ctx, wrong); ok {
			t.Errorf("%q is %+v", wrong, got)
		}
	}
	for name, v := range h.tokens.bucket.All() {
		if text := name + fmt.Sprint(v); strings.Contains(text, secret) || strings.Contains(text, admin) {
			t.Error("a secret is in the store")
		}
	}
	if _, err := h.tokens.Create(ctx, "grafana", Admin, "eve"); !errors.Is(err, ErrAPITokenExists) {
		t.Error(err)
	}
	if err := h.tokens.Revoke(ctx, "grafana"); err != nil {
		t.Fatal(err)
	}
	if err := h.tokens.Revoke(ctx, "grafana"); !errors.Is(err, ErrNoAPIToken) {
		t.Error(err)
	}
	for range 2 {
		if _, ok := h.tokens.Verify(ctx, secret); ok {
			t.Error("a revoked token lets in")
		}
		h.reopen()
	}
	// One of the same name is another one.
	if _, err := h.tokens.Create(ctx, "grafana", Viewer, "ada"); err != nil {
		t.Error(err)
	}
	if _, ok := h.tokens.Verify(ctx, secret); ok {
		t.Error("the secret of a revoked token lets in")
	}
}

func TestAPITokenNamesAndLevels(t *testing.T) {
	h := newPageHouse(t)
	for _, tt := range []struct {
		name  string
		level Level
		ok    bool
	}{
		{"a", Viewer, true}, {strings.Repeat("ä", maxAPITokenName), Operator, true}, {"two words", Admin, true},
		{"", Viewer, false}, {strings.Repeat("a", maxAPITokenName+1), Viewer, false}, {" a", Viewer, false}, {"a\n", Viewer, false},
		{"a\x00b", Viewer, false}, {"\xff", Viewer, false}, {"b\u202ec", Viewer, false}, {"c", "", false}, {"d", "root", false},
	} {
		if _, err := h.tokens.Create(t.Context(), tt.name, tt.level, "ada"); (err == nil) != tt.ok {
			t.Errorf("%q %q: %v", tt.name, tt.level, err)
		}
	}
}

func TestAPITokensAreBounded(t *testing.T) {
	h := newPageHouse(t)
	for i := range maxAPITokens {
		if _, err := h.tokens.Create(t.Context(), fmt.Sprint(i), Viewer, "ada"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.tokens.Create(t.Context(), "more", Viewer, "ada"); !errors.Is(err, ErrManyAPITokens) {
		t.Error(err)
	}
	if err := h.tokens.revokeAll(t.Context()); err != nil || len(h.tokens.All()) != 0 {
		t.Error(err, len(h.tokens.All()))
	}
}

func TestTokenUseIsWrittenSeldom(t *testing.T) {
	ctx := t.Context()
	h := newPageHouse(t)
	secret, err := h.tokens.Create(ctx, "grafana", Viewer, "ada")
	if err != nil {
		t.Fatal(err)
	}
	before := h.store.Stats().Groups
	for range 100 {
		h.tokens.Verify(ctx, secret)
	}
	if n := h.store.Stats().Groups - before; n != 1 {
		t.Errorf("100 uses made %d commits", n)
	}
	h.reopen()
	if all := h.tokens.All(); len(all) != 1 || time.Since(all[0].Used) > time.Hour {
		t.Errorf("%+v", all)
	}
}
