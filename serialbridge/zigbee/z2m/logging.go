package z2m

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// levels are the names that zigbee2mqtt has for levels.
func levelName(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "error"
	case l >= slog.LevelWarn:
		return "warning"
	case l >= slog.LevelInfo:
		return "info"
	}
	return "debug"
}

func levelOf(name string) slog.Level {
	switch name {
	case "error":
		return slog.LevelError
	case "warning":
		return slog.LevelWarn
	case "debug":
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// logTee publishes the records of a logger in bridge/logging too. Records are made
// with the bridge locked or not, so that it only puts lines where they are sent from.
type logTee struct {
	next   slog.Handler
	bridge *Bridge
	prefix string // attributes of With
}

// Enabled implements slog.Handler.
func (t *logTee) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.Level(t.bridge.logLevel.Load()) || t.next.Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (t *logTee) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.Level(t.bridge.logLevel.Load()) {
		var text strings.Builder
		text.WriteString(r.Message)
		text.WriteString(t.prefix)
		r.Attrs(func(a slog.Attr) bool {
			fmt.Fprintf(&text, " %s=%v", a.Key, a.Value)
			return true
		})
		t.bridge.publishLog(levelName(r.Level), "z2m: "+text.String())
	}
	if t.next.Enabled(ctx, r.Level) {
		return t.next.Handle(ctx, r)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (t *logTee) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *t
	c.next = t.next.WithAttrs(attrs)
	for _, a := range attrs {
		if a.Key != "component" {
			c.prefix += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		}
	}
	return &c
}

// WithGroup implements slog.Handler.
func (t *logTee) WithGroup(name string) slog.Handler {
	c := *t
	c.next = t.next.WithGroup(name)
	return &c
}

// publishLog publishes a line, unless it is the same as the last one.
func (b *Bridge) publishLog(level, text string) {
	b.logMu.Lock()
	defer b.logMu.Unlock()
	line := encode(map[string]any{"level": level, "message": text})
	if string(line) == b.lastLog {
		return
	}
	b.lastLog = string(line)
	b.out.addLog(b.base+"/bridge/logging", line)
}

// tell publishes a line in the words of zigbee2mqtt, which front ends look for.
func (b *Bridge) tell(level, text string) {
	if levelOf(level) >= slog.Level(b.logLevel.Load()) {
		b.publishLog(level, "z2m: "+text)
	}
	b.quiet.Log(context.Background(), levelOf(level), "command not carried out", "reason", text)
}

// applyLogLevel has records of the level that is set published. The mutex is held.
func (b *Bridge) applyLogLevel() {
	level := levelOf(b.settings.Advanced.LogLevel)
	if level < slog.LevelInfo && !b.settings.Advanced.LogDebugToMQTTFrontend {
		level = slog.LevelInfo
	}
	b.logLevel.Store(int64(level))
}
