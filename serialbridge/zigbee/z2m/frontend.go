package z2m

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// maxFrames is how many frames wait for a WebSocket that does not read.
const maxFrames = 4096

// unauthorized is the code with which zigbee2mqtt closes a WebSocket whose token is
// not right. Its front end asks for a password then.
const unauthorized = 4401

// FrontendOptions are the options of [Bridge.Frontend].
type FrontendOptions struct {
	// Token is what clients have to give as ?token=; empty: nothing.
	Token string
	// Files are those of a front end, such as zigbee2mqtt-windfront, which the user has
	// brought; nil: only the WebSocket is served.
	Files fs.FS
}

// Frontend returns what a front end of zigbee2mqtt needs: its files and, at "api", a
// WebSocket with all messages below the base topic. Paths are relative to where it is
// mounted, without its prefix.
func (b *Bridge) Frontend(o FrontendOptions) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api", func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			http.NotFound(w, r)
			return
		}
		b.serveSocket(w, r, o.Token)
	})
	if o.Files != nil {
		mux.Handle("GET /", files{o.Files})
	}
	return mux
}

// serveSocket shows a client all there is and takes its requests.
func (b *Bridge) serveSocket(w http.ResponseWriter, r *http.Request, token string) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionContextTakeover})
	if err != nil {
		return // Accept has answered
	}
	defer ws.CloseNow()
	if token != "" && subtle.ConstantTimeCompare([]byte(r.URL.Query().Get("token")), []byte(token)) != 1 {
		ws.Close(unauthorized, "Unauthorized")
		return
	}
	ws.SetReadLimit(maxPayload)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	look := &onlooker{frames: make(chan []byte, maxFrames), base: b.base}
	b.mu.Lock()
	b.out.look(look, b.stateFrames())
	b.mu.Unlock()
	defer b.out.lookAway(look)

	go func() {
		defer cancel()
		b.readFrames(ctx, ws)
	}()
	for {
		select {
		case <-ctx.Done():
			ws.Close(websocket.StatusNormalClosure, "")
			return
		case frame, ok := <-look.frames:
			if !ok {
				return
			}
			writing, done := context.WithTimeout(ctx, 30*time.Second)
			err := ws.Write(writing, websocket.MessageText, frame)
			done()
			if err != nil {
				return
			}
		}
	}
}

// readFrames handles what a client sends as if it had come over MQTT.
func (b *Bridge) readFrames(ctx context.Context, ws *websocket.Conn) {
	for {
		kind, data, err := ws.Read(ctx)
		if err != nil {
			return
		}
		var frame struct {
			Topic   string          `json:"topic"`
			Payload json.RawMessage `json:"payload"`
		}
		if kind == websocket.MessageText && json.Unmarshal(data, &frame) == nil && frame.Topic != "" {
			b.incoming(b.base+"/"+frame.Topic, frame.Payload, 0)
		}
	}
}

// stateFrames are the states of all devices, each in a frame. The mutex is held.
func (b *Bridge) stateFrames() [][]byte {
	var frames [][]byte
	for _, d := range b.sortedDevices() {
		message := merge(b.states[d.ieee.String()], nil)
		if seen := lastSeen(d.LastSeen, b.settings.Advanced.LastSeen); seen != nil {
			message["last_seen"] = seen
		}
		if d.LinkQuality != nil {
			message["linkquality"] = *d.LinkQuality
		}
		frames = append(frames, frameOf(d.name(), encode(message)))
	}
	return frames
}

// frameOf is a message as a front end is sent it: a payload that is no JSON is a text.
func frameOf(topic string, payload []byte) []byte {
	if !json.Valid(payload) {
		payload = encode(string(payload))
	}
	var frame bytes.Buffer
	frame.WriteString(`{"payload":`)
	frame.Write(payload)
	frame.WriteString(`,"topic":`)
	frame.Write(encode(topic))
	frame.WriteString(`}`)
	return frame.Bytes()
}

// files serves a front end. Pages are not kept by browsers, so that a newer
// version is seen at once.
type files struct{ fs.FS }

func (f files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	if name == "" {
		name = "index.html"
	}
	info, err := fs.Stat(f.FS, name)
	if err != nil || info.IsDir() {
		http.NotFound(w, r)
		return
	}
	if strings.HasSuffix(name, ".html") {
		w.Header().Set("Cache-Control", "no-store")
	}
	w.Header().Add("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "br") {
		if data, err := fs.ReadFile(f.FS, name+".br"); err == nil {
			w.Header().Set("Content-Encoding", "br")
			w.Header().Set("Content-Type", contentType(name))
			w.Write(data)
			return
		}
	}
	data, err := fs.ReadFile(f.FS, name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", contentType(name))
	http.ServeContent(w, r, "", info.ModTime(), bytes.NewReader(data))
}

// contentType does not ask the system, whose table a small image lacks.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".ico":
		return "image/x-icon"
	case ".json", ".map", ".webmanifest":
		return "application/json"
	case ".woff2":
		return "font/woff2"
	case ".wasm":
		return "application/wasm"
	}
	return "application/octet-stream"
}
