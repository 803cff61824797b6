package dashboard

import (
	"context"
	"io"
	"strings"
	"testing"

	"lintel/gateway/access"
)

func TestCapture(t *testing.T) {
	box := newBox(t)
	ended := make(chan struct{}, 2*maxCaptures)
	box.o.Capture = func(ctx context.Context, stick string, w io.Writer, flush func() error) error {
		defer func() { ended <- struct{}{} }()
		io.WriteString(w, "# lintel capture 1\n# stick "+stick+"\n")
		if err := flush(); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}
	box.url = listen(t, box.o)
	if _, err := box.o.Claim.Do(t.Context(), access.Owner{Password: adminPassword, BoxName: "Cellar"}); err != nil {
		t.Fatal(err)
	}
	secret, err := box.o.Tokens.Create(t.Context(), "t", "operator", "admin")
	if err != nil {
		t.Fatal(err)
	}
	box.secrets = map[string]string{"operator": secret}

	for query, want := range map[string]string{
		"":                            "There is no stick",
		"?stick=nobody":               "There is no stick",
		"?stick=x&seconds=0":          "seconds is a number",
		"?stick=x&seconds=one":        "seconds: This is to be a whole number.",
		"?stick=x&seconds=3601":       "seconds is a number",
		"?stick=/dev/pts/3&seconds=1": "# stick /dev/pts/3",
	} {
		if a := box.do(browse{path: "/api/capture" + query, as: "token operator"}); !strings.Contains(a.body, want) {
			t.Errorf("%s: %d %s", query, a.StatusCode, a.body)
		}
	}
	<-ended

	var open []io.Closer
	for range maxCaptures {
		a := box.open(browse{path: "/api/capture?stick=x&seconds=600", as: "token operator"})
		open = append(open, a.Body)
	}
	if a := box.do(browse{path: "/api/capture?stick=x", as: "token operator"}); a.StatusCode != 503 {
		t.Errorf("one more: %d %s", a.StatusCode, a.body)
	}
	for _, o := range open {
		o.Close() // who has enough goes
	}
	for range maxCaptures {
		<-ended
	}
}
