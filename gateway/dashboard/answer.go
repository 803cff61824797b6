package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"lintel/gateway/access"
	"lintel/gateway/homeassistant"
	"lintel/gateway/uplink"
	"lintel/serialbridge/zigbee/z2m"
)

// answer answers a request with JSON.
func (s *Server) answer(w http.ResponseWriter, code int, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		s.log.Error("answer not made", "err", err)
		answerProblem(w, Problem{Status: http.StatusInternalServerError, Detail: "The answer could not be made; the log says why."})
		return
	}
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(code)
	w.Write(append(b, '\n'))
}

// show answers a request with a page.
func (s *Server) show(w http.ResponseWriter, r *request, code int, page string, data any) {
	var b bytes.Buffer
	if err := pages(languageOf(r.Request)).ExecuteTemplate(&b, page, data); err != nil {
		s.log.Error("page not made", "page", page, "err", err)
		http.Error(w, "The page could not be made; the log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	w.Write(b.Bytes())
}

// refuse answers a request with what is wrong: in the API as a problem document, else as a page.
func (s *Server) refuse(w http.ResponseWriter, r *request, code int, what string) {
	if isCall(r.Request) {
		answerProblem(w, Problem{Status: code, Detail: what})
		return
	}
	s.show(w, r, code, "message.html", struct {
		Frame   frame
		Message string
	}{s.frame(r, r.t("That did not work")), r.t(what)})
}

// problem is an error that tells the person at the browser, or the program, what to do.
type problem struct {
	code   int
	field  string // of a form that it is about; empty: none
	format string // a key of the catalogue
	args   []any
	inputs []InputError // of a call: all that is wrong with what was sent; nil: what field says

	kind, reason, fingerprint string // as in [Problem], of the calls that pair or connect a Home Assistant
}

func (p *problem) Error() string { return p.in(english) }

// in returns what is wrong in a language.
func (p *problem) in(lang string) string { return translate(lang, p.format, p.args...) }

func problemf(code int, field, format string, args ...any) *problem {
	return &problem{code: code, field: field, format: format, args: args}
}

func wrong(field, format string, args ...any) *problem {
	return problemf(http.StatusBadRequest, field, format, args...)
}

// nowhere is a problem that is about no field.
func (p *problem) nowhere() *problem {
	own := *p
	own.field = ""
	return &own
}

// problemOf returns what to answer because of err. What is not known here comes from
// the store or is a mistake of ours.
func (s *Server) problemOf(r *http.Request, err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if invalid, ok := errors.AsType[*access.InvalidUserError](err); ok {
		return wrong("name", "%s", sentence(errors.New(invalid.Reason)))
	}
	if invalid, ok := errors.AsType[*access.InvalidCertificateError](err); ok {
		code := http.StatusBadRequest
		if invalid.Field == "" {
			code = http.StatusConflict
		}
		return problemf(code, invalid.Field, "%s", sentence(err))
	}
	if none, ok := errors.AsType[*z2m.NotLearningError](err); ok {
		return problemf(http.StatusNotFound, "", "%s", sentence(none))
	}
	if unknown, ok := errors.AsType[*z2m.UnknownDeviceError](err); ok {
		return problemf(http.StatusNotFound, "", "%s", sentence(unknown))
	}
	if invalid, ok := errors.AsType[*z2m.TeachingError](err); ok {
		return wrong("", "%s", sentence(invalid))
	}
	if unfit, ok := errors.AsType[*uplink.Unfit](err); ok {
		return problemf(http.StatusBadGateway, "", "%s", unfit.Text)
	}
	if unconnected, ok := errors.AsType[*homeassistant.ConnectError](err); ok {
		p := problemf(connectCodes[unconnected.Reason], "", "%s", unconnected.Text)
		p.kind, p.reason, p.fingerprint = connectProblem, string(unconnected.Reason), unconnected.Fingerprint
		return p
	}
	for _, of := range []func(error) *problem{zigbeeProblem, roleProblem, settingsProblem, simulationProblem} {
		if p := of(err); p != nil {
			return p
		}
	}
	code := 0
	switch {
	case errors.Is(err, access.ErrUserExists), errors.Is(err, access.ErrAPITokenExists), errors.Is(err, access.ErrClaimed),
		errors.Is(err, access.ErrManyAPITokens):
		code = http.StatusConflict
	case errors.Is(err, access.ErrNoUser), errors.Is(err, access.ErrNoAPIToken), errors.Is(err, access.ErrNoSession):
		code = http.StatusNotFound
	case errors.Is(err, access.ErrBusy):
		code = http.StatusServiceUnavailable
	}
	if code != 0 {
		return problemf(code, "", "%s", sentence(err))
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return problemf(http.StatusServiceUnavailable, "", "The box is busy. Try again in a moment.")
	}
	s.log.Error("request not done", "method", r.Method, "path", r.URL.Path, "err", err)
	return problemf(http.StatusInternalServerError, "", "This could not be done; the log of the box says why.")
}

// connectCodes are the codes for reasons why a Home Assistant could not be connected.
var connectCodes = map[homeassistant.Reason]int{
	homeassistant.BadRequest:    http.StatusBadRequest,
	homeassistant.NoLogin:       http.StatusConflict,
	homeassistant.NotReached:    http.StatusBadGateway,
	homeassistant.Certificate:   http.StatusConflict,
	homeassistant.NotAllowed:    http.StatusForbidden,
	homeassistant.HasBroker:     http.StatusConflict,
	homeassistant.Connected:     http.StatusConflict,
	homeassistant.Unconnected:   http.StatusBadGateway,
	homeassistant.NotUnderstood: http.StatusBadGateway,
}

// fail answers a request that err kept from being done.
func (s *Server) fail(w http.ResponseWriter, r *request, err error) {
	p := s.problemOf(r.Request, err)
	if isCall(r.Request) { // programs are spoken to in English
		answerProblem(w, Problem{Type: p.kind, Status: p.code, Detail: p.Error(), Errors: p.inputErrors(r), Reason: p.reason, Fingerprint: p.fingerprint})
		return
	}
	s.refuse(w, r, p.code, p.in(languageOf(r.Request)))
}

// parse reads the form of a request.
func parse(r *request) error {
	err := r.ParseForm()
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(large)
	}
	if err != nil {
		return wrong("", "The form could not be read: %v.", err)
	}
	return nil
}

func tooLarge(err *http.MaxBytesError) error {
	p := problemf(http.StatusRequestEntityTooLarge, "", "This is too large: send %d bytes at most.", err.Limit)
	p.inputs = []InputError{{Pointer: "#", Detail: p.Error()}}
	return p
}

// note writes something that was done into the audit log.
func (s *Server) note(r *request, kind, user, format string, args ...any) {
	detail := fmt.Sprintf(format, args...)
	if r.user != "" {
		detail = "by " + r.user + detail
	}
	s.o.Audit.Add(access.Event{Kind: kind, User: user, Address: address(r.Request), Detail: detail})
}

const lastingTime = 30 * time.Second

// lasting is the context of what must not stop half-way because a browser goes away.
func lasting(r *request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(r.Context()), lastingTime)
}

// localIP returns the address at which the request reached the box; zero: not known.
func localIP(r *http.Request) netip.Addr {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(interface{ String() string })
	if !ok {
		return netip.Addr{}
	}
	a, _ := netip.ParseAddrPort(local.String())
	return a.Addr().Unmap().WithZone("")
}

// sentence makes one of an error.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
