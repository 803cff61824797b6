package main

import (
	"bytes"
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
)

// maxAnswer bounds what a box may answer, in bytes.
const maxAnswer = 8 << 20

// box is the JSON API of a box.
type box struct {
	url, token string
	client     http.Client
}

// boxFlags adds the flags that say which box is meant and who asks.
func boxFlags(flags *flag.FlagSet) *box {
	b := &box{client: http.Client{Timeout: time.Minute}}
	flags.StringVar(&b.url, "box", os.Getenv("LINTEL_BOX"), "`URL` of the box, such as http://lintel.local (default $LINTEL_BOX)")
	flags.StringVar(&b.token, "token", "", "API `token` that the page of the box has made (default $LINTEL_TOKEN, which others do not see)")
	return b
}

// parseBox parses flags, which may stand before, between and behind the other
// arguments, and returns those.
func parseBox(flags *flag.FlagSet, b *box, args []string) (others []string, err error) {
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, errUsage
		}
		if args = flags.Args(); len(args) > 0 {
			others, args = append(others, args[0]), args[1:]
		}
	}
	if b.token == "" {
		b.token = os.Getenv("LINTEL_TOKEN")
	}
	u, err := url.Parse(b.url)
	switch {
	case b.url == "":
		return nil, fmt.Errorf("--box is missing, such as --box http://lintel.local: %w", errUsage)
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("--box %s is no URL, such as http://lintel.local: %w", b.url, errUsage)
	case b.token == "":
		return nil, fmt.Errorf("--token is missing: make one on the page of the box, Access: %w", errUsage)
	}
	b.url = strings.TrimSuffix(b.url, "/")
	return others, nil
}

// call makes a call with a body of a type, nil for none, and reads the answer into out,
// nil to ignore it.
func (b *box) call(method, path, kind string, body []byte, out any) error {
	request, err := http.NewRequest(method, b.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+b.token)
	if body != nil {
		request.Header.Set("Content-Type", kind)
	}
	answer, err := b.client.Do(request)
	if err != nil {
		return fmt.Errorf("the box does not answer: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return refusal(answer)
	}
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

// refusal returns what a box says why it does not do what it was asked.
func refusal(answer *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("the answer of the box is cut: %w", err)
	}
	var refused struct{ Error string }
	if json.Unmarshal(text, &refused) != nil || refused.Error == "" {
		refused.Error = answer.Status + ": is that a Lintel box?"
	}
	return errors.New(refused.Error)
}

// send is call with a value as JSON.
func (b *box) send(method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return b.call(method, path, "application/json", body, out)
}

// explain says what somebody may do, and why.
func explain(args []string, out, diagnostics io.Writer) error {
	flags := flag.NewFlagSet("lintelctl explain", flag.ContinueOnError)
	flags.SetOutput(diagnostics)
	b := boxFlags(flags)
	user := flags.String("user", "", "`name` of a user; empty: somebody who is not logged in")
	client := flags.String("client", "", "MQTT client `identifier`")
	others, err := parseBox(flags, b, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case len(others) != 2:
		return fmt.Errorf("explain takes an action, publish, subscribe or receive, and a topic: %w", errUsage)
	}
	q := url.Values{"user": {*user}, "client": {*client}, "action": {others[0]}, "topic": {others[1]}}
	var v struct {
		Allow, Depends bool
		Rule, Why      string
	}
	if err := b.call("GET", "/api/explain?"+q.Encode(), "", nil, &v); err != nil {
		return err
	}
	verdict := "denied"
	switch {
	case v.Allow:
		verdict = "allowed"
	case v.Depends:
		verdict = "depends on the message"
	}
	fmt.Fprintf(out, "%s: %s\n", verdict, v.Why)
	if v.Rule != "" {
		fmt.Fprintln(out, "by", v.Rule)
	}
	return nil
}
