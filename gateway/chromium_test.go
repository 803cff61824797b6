package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// patience is how long a page may take to show what is waited for, on a machine that has
// other things to do.
const patience = 60 * time.Second

// tab is a page in a headless Chromium, spoken with over the DevTools protocol.
type tab struct {
	t       *testing.T
	ws      *websocket.Conn
	session string
	console chan string // the first words of what the page's scripts log

	mu         sync.Mutex
	last       int
	answers    map[int]chan answer
	exceptions []string // nobody caught
	refused    []string // by the Content-Security-Policy
}

type answer struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

// openTab starts a Chromium that reaches nothing but this machine, and ends it with the
// test. It skips the test where none is asked for.
func openTab(t *testing.T) *tab {
	t.Helper()
	if os.Getenv("LINTEL_CHROMIUM") == "" {
		t.Skip("drives a browser: make windfront")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v: install the Debian package chromium", err)
	}
	chromium := exec.Command(path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--lang=en-US",
		"--window-size=1400,1000", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost", "--remote-debugging-port=0", "--user-data-dir="+t.TempDir())
	chromium.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its processes are ended with it
	said, err := chromium.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := chromium.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-chromium.Process.Pid, syscall.SIGKILL)
		chromium.Wait()
	})
	address := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(said); lines.Scan(); {
			if _, url, ok := strings.Cut(lines.Text(), "DevTools listening on "); ok {
				address <- url
			}
		}
	}()
	p := &tab{t: t, console: make(chan string, 1000), answers: make(map[int]chan answer)}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case url := <-address:
		if p.ws, _, err = websocket.Dial(ctx, url, nil); err != nil {
			t.Fatal(err)
		}
	case <-ctx.Done():
		t.Fatal("chromium does not say where it listens")
	}
	p.ws.SetReadLimit(64 << 20)
	t.Cleanup(func() { // before its processes are killed
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		p.ask(ctx, "Browser.close", nil, nil)
		p.ws.CloseNow()
	})
	go p.read()
	var target struct{ TargetID, SessionID string }
	p.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	p.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &target)
	p.session = target.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		p.call(domain+".enable", nil, nil)
	}
	return p
}

// read takes what the browser says until it is gone.
func (p *tab) read() {
	for {
		_, data, err := p.ws.Read(context.Background())
		if err != nil {
			return
		}
		var m struct {
			ID int
			answer
			Method string
			Params json.RawMessage
		}
		if json.Unmarshal(data, &m) != nil {
			continue
		}
		p.mu.Lock()
		if waiting := p.answers[m.ID]; waiting != nil {
			delete(p.answers, m.ID)
			waiting <- m.answer
		}
		p.event(m.Method, m.Params)
		p.mu.Unlock()
	}
}

// event notes what tells whether the page fares well. The mutex is held.
func (p *tab) event(method string, params json.RawMessage) {
	switch method {
	case "Runtime.exceptionThrown":
		p.exceptions = append(p.exceptions, string(params))
	case "Log.entryAdded":
		var e struct{ Entry struct{ Text, URL string } }
		if json.Unmarshal(params, &e) == nil && strings.Contains(e.Entry.Text, "Content Security Policy") {
			p.refused = append(p.refused, e.Entry.Text)
		}
	case "Runtime.consoleAPICalled":
		var c struct{ Args []struct{ Value any } }
		if json.Unmarshal(params, &c) == nil && len(c.Args) > 0 {
			select {
			case p.console <- fmt.Sprint(c.Args[0].Value):
			default: // a page that talks so much has other troubles
			}
		}
	}
}

// ask has the browser do something.
func (p *tab) ask(ctx context.Context, method string, params, result any) error {
	answered := make(chan answer, 1)
	p.mu.Lock()
	p.last++
	m := map[string]any{"id": p.last, "method": method}
	p.answers[p.last] = answered
	p.mu.Unlock()
	if p.session != "" && method != "Browser.close" {
		m["sessionId"] = p.session
	}
	if params != nil {
		m["params"] = params
	}
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := p.ws.Write(ctx, websocket.MessageText, data); err != nil {
		return err
	}
	select {
	case a := <-answered:
		if a.Error != nil {
			return fmt.Errorf("%s: %s", method, a.Error.Message)
		}
		if result != nil {
			return json.Unmarshal(a.Result, result)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	}
}

func (p *tab) call(method string, params, result any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*patience)
	defer cancel()
	if err := p.ask(ctx, method, params, result); err != nil {
		p.t.Fatal(err)
	}
}

// run has the page evaluate an expression, and await it if it is a promise.
func (p *tab) run(expression string) (value any) {
	p.t.Helper()
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails *struct{ Exception struct{ Description string } }
	}
	p.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &r)
	if r.ExceptionDetails != nil {
		p.t.Fatalf("%s: %s", expression, r.ExceptionDetails.Exception.Description)
	}
	return r.Result.Value
}

// await waits until a condition holds in the page. It looks by the clock, since a page
// that nobody sees may draw no frames.
func (p *tab) await(what, condition string) {
	p.t.Helper()
	held := p.run(fmt.Sprintf(`new Promise(done => {
		const late = Date.now() + %d;
		const look = () => {
			let holds = false;
			try { holds = !!(%s) } catch {}
			if (holds || Date.now() > late) done(holds); else setTimeout(look, 20);
		};
		look();
	})`, patience.Milliseconds(), condition))
	if held != true {
		p.t.Fatalf("waited in vain for %s; the page shows at %v", what, p.run(`location.href + ":\n" + document.body.innerText.slice(0, 2000)`))
	}
}

// visit goes to a place within the page and waits until it shows a text.
func (p *tab) visit(route, shows string) {
	p.t.Helper()
	p.run(fmt.Sprintf(`location.hash = %q`, "#"+route))
	p.await(route+" with "+shows, fmt.Sprintf(`location.hash.startsWith(%q) &&
		[document.body.innerText, ...[...document.querySelectorAll("textarea, pre")].map(e => e.value ?? e.textContent)].some(text => text.includes(%q))`,
		"#"+route, shows))
}

// logged waits until the page's scripts have logged a line with these words.
func (p *tab) logged(words string) {
	p.t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case line := <-p.console:
			if strings.Contains(line, words) {
				return
			}
		case <-late.C:
			p.t.Fatalf("the page does not log %q; it shows %v", words, p.run(`document.body.innerText.slice(0, 2000)`))
		}
	}
}

// press presses the button with that text, once there is one that can be pressed.
func (p *tab) press(within, text string) {
	p.t.Helper()
	button := fmt.Sprintf(`[...document.querySelectorAll(%q)].find(b => b.innerText.trim() == %q && !b.disabled)`, within, text)
	p.await("the button "+text, button)
	p.run(button + `.click()`)
}

// fill types into a field as a person does: React hears of the event, not of the value.
func (p *tab) fill(field, text string) {
	p.t.Helper()
	p.await("the field "+field, fmt.Sprintf(`document.querySelector(%q)`, field))
	p.run(fmt.Sprintf(`(() => {
		const field = document.querySelector(%q);
		Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(field, %q);
		field.dispatchEvent(new Event("input", {bubbles: true}));
	})()`, field, text))
}

// well checks that no script has failed, and nothing was refused but what may be.
func (p *tab) well(mayBeRefused *regexp.Regexp) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.exceptions {
		p.t.Errorf("a script has failed: %s", e)
	}
	for _, r := range p.refused {
		if mayBeRefused == nil || !mayBeRefused.MatchString(r) {
			p.t.Errorf("refused: %s", r)
		}
	}
}
