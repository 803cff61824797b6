package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"
)

const (
	maxAnswer = 8 << 20     // bytes of JSON
	callTime  = time.Minute // for the answer to a call
)

// box is the JSON API of a box.
type box struct{ url, token string }

// boxFlags adds the flags that say which box is meant and who asks.
func boxFlags(flags *flag.FlagSet) *box {
	b := new(box)
	flags.StringVar(&b.url, "box", os.Getenv("LINTEL_BOX"), "`URL` of the box, such as http://lintel.local (default $LINTEL_BOX)")
	flags.StringVar(&b.token, "token", "", "API `token` that the page of the box has made (default $LINTEL_TOKEN, which others do not see)")
	return b
}

// check says what is wrong with what the flags said.
func (b *box) check() error {
	if b.token == "" {
		b.token = os.Getenv("LINTEL_TOKEN")
	}
	if err := b.checkURL(); err != nil {
		return err
	}
	if b.token == "" {
		return fmt.Errorf("--token is missing: make one on the page of the box, Access: %w", errUsage)
	}
	return nil
}

// checkURL is check without the token, for what takes none.
func (b *box) checkURL() error {
	u, err := url.Parse(b.url)
	switch {
	case b.url == "":
		return fmt.Errorf("--box is missing, such as --box http://lintel.local: %w", errUsage)
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("--box %s is no URL, such as http://lintel.local: %w", b.url, errUsage)
	}
	b.url = strings.TrimSuffix(b.url, "/")
	return nil
}

// do makes a request with a body of a type, nil for none. The body of the answer, which may be
// long, is to be closed. What the box refuses is an error.
func (b *box) do(ctx context.Context, method, path, kind string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, b.url+path, body)
	if err != nil {
		return nil, err
	}
	if b.token != "" {
		request.Header.Set("Authorization", "Bearer "+b.token)
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("the box does not answer: %w", err)
	}
	if answer.StatusCode >= 300 {
		defer answer.Body.Close()
		return nil, refusal(answer)
	}
	return answer, nil
}

// ask is do with an answer in JSON, which goes into out; nil: it is ignored.
func (b *box) ask(ctx context.Context, method, path, kind string, body io.Reader, out any) error {
	answer, err := b.do(ctx, method, path, kind, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("the answer of the box is cut: %w", err)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("the box answers something else than is expected, is it of another version than this command? %w", err)
	}
	return nil
}

// call is ask for what takes a moment.
func (b *box) call(method, path, kind string, body []byte, out any) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	return b.ask(ctx, method, path, kind, bytes.NewReader(body), out)
}

// refusal returns what a box says why it does not do what it was asked: a problem document
// (RFC 9457), which names each part of what was sent that is wrong.
func refusal(answer *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("the answer of the box is cut: %w", err)
	}
	var refused struct {
		Detail string
		Errors []struct{ Detail, Pointer, Parameter, Header string }
	}
	if json.Unmarshal(text, &refused) != nil || refused.Detail == "" {
		return errors.New(answer.Status + ": is that a Lintel box?")
	}
	said := strings.Split(refused.Detail, "\n")
	if n := len(refused.Errors); n > 1 {
		for _, e := range refused.Errors[:min(n, maxMistakes)] {
			said = append(said, cmp.Or(e.Parameter, e.Pointer, e.Header)+": "+e.Detail)
		}
	}
	for i := range said {
		said[i] = printable(said[i])
	}
	return errors.New(strings.Join(said, "\n"))
}

// maxMistakes are how many mistakes are told at once.
const maxMistakes = 16

// send is call with a value as JSON.
func (b *box) send(method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return b.call(method, path, "application/json", body, out)
}

func explainCommand() command {
	return command{
		name:   "explain",
		args:   "publish|subscribe|receive TOPIC",
		short:  "what somebody may do on a box, and why",
		long:   "The token is of level operator or above.",
		words:  []string{"publish", "subscribe", "receive"},
		define: explain,
	}
}

// explain says what somebody may do, and why.
func explain(flags *flag.FlagSet) action {
	b := boxFlags(flags)
	asJSON := jsonFlag(flags)
	user := flags.String("user", "", "`name` of a user; empty: somebody who is not logged in")
	client := flags.String("client", "", "MQTT client `identifier`")
	return func(c *call, others []string) error {
		if err := b.check(); err != nil {
			return err
		}
		if len(others) != 2 {
			return fmt.Errorf("explain takes an action, publish, subscribe or receive, and a topic: %w", errUsage)
		}
		q := url.Values{"user": {*user}, "client": {*client}, "action": {others[0]}, "topic": {others[1]}}
		var v struct {
			Allow   bool   `json:"allow"`
			Depends bool   `json:"depends"` // on the message
			Rule    string `json:"rule"`
			Why     string `json:"why"`
		}
		if err := b.call("GET", "/api/explain?"+q.Encode(), "", nil, &v); err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(c.out, v)
		}
		verdict := "denied"
		switch {
		case v.Allow:
			verdict = "allowed"
		case v.Depends:
			verdict = "depends on the message"
		}
		fmt.Fprintf(c.out, "%s: %s\n", verdict, v.Why)
		if v.Rule != "" {
			fmt.Fprintln(c.out, "by", v.Rule)
		}
		return nil
	}
}

// jsonFlag adds the flag that asks for JSON in place of what people read.
func jsonFlag(flags *flag.FlagSet) *bool {
	return flags.Bool("json", false, "print JSON")
}

// writeJSON writes a value as a line of JSON.
func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// printable returns a text of others without what could do something to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}
