package z2m

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/coder/websocket"
)

type frame struct {
	Topic   string          `json:"topic"`
	Payload json.RawMessage `json:"payload"`
}

func dial(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(1 << 20)
	t.Cleanup(func() { ws.CloseNow() })
	return ws
}

// until reads frames until one is of the topic.
func until(t *testing.T, ws *websocket.Conn, topic string) (all []frame) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		_, data, err := ws.Read(ctx)
		if err != nil {
			t.Fatalf("waiting for %s: %v", topic, err)
		}
		var f frame
		if err := json.Unmarshal(data, &f); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		all = append(all, f)
		if f.Topic == topic {
			return all
		}
	}
}

func TestFrontend(t *testing.T) {
	h, say := measuring(t, `{}`)
	say(20)
	h.want(thermometer.String(), `{"temperature":20}`)
	server := httptest.NewServer(http.StripPrefix("/z", h.Frontend(FrontendOptions{Token: "secret", Files: fstest.MapFS{
		"index.html":      {Data: []byte("<html>")},
		"assets/a.js":     {Data: []byte("let a")},
		"assets/a.js.br":  {Data: []byte("packed")},
		"device_icons/x":  {Data: []byte("x")},
		"assets/empty/.k": {},
	}})))
	defer server.Close()
	address := "ws" + strings.TrimPrefix(server.URL, "http") + "/z/api"

	// A wrong token is told by a close code: the front end asks for a password then.
	_, _, err := dial(t, address+"?token=wrong").Read(t.Context())
	if websocket.CloseStatus(err) != unauthorized {
		t.Errorf("a wrong token ends with %v", err)
	}

	ws := dial(t, address+"?token=secret")
	var topics []string
	for _, f := range until(t, ws, thermometer.String()) {
		topics = append(topics, f.Topic)
		if f.Topic == thermometer.String() && string(f.Payload) != `{"temperature":20}` {
			t.Errorf("the state is %s", f.Payload)
		}
	}
	if got := strings.Join(topics, " "); got != "bridge/state bridge/converters bridge/info bridge/devices bridge/groups bridge/definitions bridge/extensions "+thermometer.String() {
		t.Errorf("the first frames are %s", got)
	}
	request := `{"topic":"bridge/request/group/add","payload":{"friendly_name":"g","transaction":"abc-1"}}`
	if err := ws.Write(t.Context(), websocket.MessageText, []byte(request)); err != nil {
		t.Fatal(err)
	}
	frames := until(t, ws, "bridge/response/group/add")
	if got := string(frames[len(frames)-1].Payload); got != `{"data":{"friendly_name":"g","id":1},"status":"ok","transaction":"abc-1"}` {
		t.Errorf("the answer is %s", got)
	}
	say(21)
	frames = until(t, ws, thermometer.String())
	if got := string(frames[len(frames)-1].Payload); got != `{"temperature":21}` {
		t.Errorf("the state is %s", got)
	}

	for _, c := range []struct {
		path, accept string
		status       int
		body         string
	}{
		{"/z/", "", 200, "<html>"},
		{"/z/assets/a.js", "", 200, "let a"},
		{"/z/assets/a.js", "gzip, br", 200, "packed"},
		{"/z/assets/b.js", "", 404, ""},
		{"/z/assets", "", 404, ""},
		{"/z/api", "", 404, ""},
	} {
		r, _ := http.NewRequest("GET", server.URL+c.path, nil)
		r.Header.Set("Accept-Encoding", "identity")
		if c.accept != "" {
			r.Header.Set("Accept-Encoding", c.accept)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != c.status || c.body != "" && string(body) != c.body {
			t.Errorf("%s: %d %s", c.path, response.StatusCode, body)
		}
	}
}
