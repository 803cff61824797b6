package dashboard

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"regexp"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"lintel/gateway/openmetrics"
)

// Support adds to a support bundle what the pages do not know.
type Support interface {
	// Write calls add with each file: a text, or a value that becomes JSON.
	Write(add func(name string, content any))
	// Secrets are the texts that must not be in a bundle, wherever they got to. Those that are
	// too short to be told from other text are left out.
	Secrets() []string
}

// minSecret is how short a secret may be: whoever replaced a shorter one everywhere would
// destroy the rest.
const minSecret = 6

func (s *Server) supportRoutes() []route {
	if s.o.Support == nil {
		return nil
	}
	return []route{
		{pattern: "GET /support", level: admin, serve: s.supportPage},
		{pattern: "GET /api/support", level: admin, serve: s.serveSupport},
	}
}

// supportFile is a file of a bundle, for people.
type supportFile struct{ Name, About string }

// supportFiles are what is in a bundle; About is a key of the catalogue.
func (s *Server) supportFiles(r *request) []supportFile {
	return []supportFile{
		{"about.txt", r.t("what this is, the version and when it was made")},
		{"configuration.toml", r.t("the configuration without passwords, keys and comments")},
		{"status.json", r.t("the broker with its clients, sticks, devices without their values, uplinks and the machine")},
		{"checks.json", r.t("what is well and what is not")},
		{"metrics.txt", r.t("all that is counted")},
		{"log.txt", r.t("the last thousand lines of the log")},
		{"zigbee.json", r.t("the Zigbee network and its devices, without keys")},
		{"network.json, time.json, update.json", r.t("addresses, clock and updates")},
		{"audit.json", r.t("what happened at the door lately, without addresses")},
		{"goroutines.txt", r.t("what the program is doing")},
	}
}

func (s *Server) supportPage(w http.ResponseWriter, r *request) {
	s.show(w, r, http.StatusOK, "support.html", struct {
		Frame frame
		Files []supportFile
	}{s.frame(r, r.t("Support")), s.supportFiles(r)})
}

// serveSupport hands a bundle out. One is made at a time: it holds all of it in memory.
func (s *Server) serveSupport(w http.ResponseWriter, r *request) {
	if !s.supporting.TryLock() {
		s.fail(w, r, problemf(http.StatusServiceUnavailable, "", "A support bundle is being made already: try again in a moment."))
		return
	}
	defer s.supporting.Unlock()
	now := time.Now()
	var b bytes.Buffer
	if err := s.writeSupport(&b, now); err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="lintel-support-%s.zip"`, now.UTC().Format("20060102-150405")))
	w.Write(b.Bytes())
}

// writeSupport writes a bundle.
func (s *Server) writeSupport(w io.Writer, now time.Time) error {
	z := zip.NewWriter(w)
	scrub := newScrubber(s.o.Support.Secrets())
	var failed error
	add := func(name string, content any) {
		text, ok := content.(string)
		if !ok {
			made, err := json.MarshalIndent(content, "", "  ")
			if err != nil {
				made = fmt.Appendf(nil, "not made: %v", err)
			}
			text = string(made) + "\n"
		}
		f, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: now})
		if err == nil {
			_, err = io.WriteString(f, scrub.text(text))
		}
		if failed == nil {
			failed = err
		}
	}
	add("about.txt", fmt.Sprintf("Support bundle of Lintel %s (%s, %s/%s) on %s, made %s.\n\n"+
		"Passwords, keys and tokens are left out, and so are values of devices. Names of devices, clients and users,\n"+
		"addresses in the network and topics are not: look through it before you give it away.\n",
		s.o.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, s.o.Model, now.UTC().Format(time.RFC3339)))
	st := s.status()
	for i := range st.Devices {
		st.Devices[i].Values = nil
	}
	st.Machine = slices.DeleteFunc(st.Machine, func(f Fact) bool { return f.Name == "Serial number" })
	add("status.json", st)
	if s.o.Checks != nil {
		add("checks.json", s.report())
	}
	var m openmetrics.Writer
	s.writeMetrics(&m)
	add("metrics.txt", string(m.Bytes()))
	if s.o.Log != nil {
		lines, _, _ := s.o.Log.ring.after(0, -100, maxLogLines)
		var text strings.Builder
		for _, l := range lines {
			text.WriteString(l.text())
		}
		add("log.txt", text.String())
	}
	if s.o.ZigbeeNetwork != nil {
		add("zigbee.json", s.o.ZigbeeNetwork.Overview())
	}
	if s.o.Network != nil {
		add("network.json", s.o.Network.Status())
	}
	if s.o.Time != nil {
		add("time.json", s.o.Time())
	}
	if s.o.Updater != nil {
		add("update.json", s.o.Updater.Status())
	}
	if s.o.Audit != nil {
		events := s.o.Audit.All()
		events = events[:min(len(events), maxRows)]
		for i := range events {
			events[i].Address = netip.Addr{}
		}
		add("audit.json", events)
	}
	s.o.Support.Write(add)
	var stacks bytes.Buffer
	pprof.Lookup("goroutine").WriteTo(&stacks, 1) // to memory
	add("goroutines.txt", stacks.String())
	if err := z.Close(); err != nil {
		return err
	}
	return failed
}

// scrubber takes secrets out of texts, whatever has put them there.
type scrubber struct{ known *strings.Replacer }

func newScrubber(secrets []string) scrubber {
	var pairs []string
	// The longest first: one may be within another.
	secrets = slices.SortedFunc(slices.Values(secrets), func(a, b string) int { return len(b) - len(a) })
	for _, secret := range secrets {
		if len(secret) < minSecret {
			continue
		}
		pairs = append(pairs, secret, NotShown)
		if quoted, err := json.Marshal(secret); err == nil { // as it stands in JSON
			if inner := string(quoted[1 : len(quoted)-1]); inner != secret {
				pairs = append(pairs, inner, NotShown)
			}
		}
	}
	return scrubber{strings.NewReplacer(pairs...)}
}

// scrubbed are the forms of secrets by which they are known without being known: hashes of
// passwords, private keys, tokens that a program shows, users in URLs. In $1 is what stays.
var scrubbed = []*regexp.Regexp{
	regexp.MustCompile(`()\$(?:argon2id?|2[aby]|5|6|7|y|scram[a-z0-9-]*|pbkdf2[a-z0-9-]*)\$[A-Za-z0-9./+=,$-]+`),
	regexp.MustCompile(`()-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)-----END [A-Z ]*PRIVATE KEY-----`),
	regexp.MustCompile(`(?i)((?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}`),
	regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s"'@<>]+@`),
	regexp.MustCompile(`()\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`), // a JSON Web Token
}

func (s scrubber) text(text string) string {
	text = s.known.Replace(text)
	for _, form := range scrubbed {
		text = form.ReplaceAllString(text, "${1}"+NotShown)
	}
	return text
}
