package dashboard

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"time"

	"lintel/gateway/access"
	"lintel/gateway/update"
)

func (s *Server) updateRoutes() []route {
	if s.o.Updater == nil {
		return nil
	}
	return []route{
		{pattern: "GET /update", level: admin, serve: s.live(s.updatePage())},
		{pattern: "POST /update/check", level: admin, patience: checkAnswer, serve: s.updateForm(s.checkForUpdates)},
		{pattern: "POST /update/install", level: admin, serve: s.updateForm(s.installUpdate)},
		{pattern: "POST /update/upload", level: admin, body: maxUpload, kind: fileType, serve: s.uploadForm},
		{pattern: "POST /update/cancel", level: admin, serve: s.updateForm(s.cancelUpdate)},
		{pattern: "POST /update/restart", level: admin, serve: s.updateForm(s.restartBox)},
		{pattern: "GET /api/update", level: admin, call: gives(s, s.updateStatus)},
		{pattern: "POST /api/update/check", level: admin, patience: checkAnswer, call: s.updateCall(s.checkForUpdates)},
		{pattern: "POST /api/update/install", level: admin, call: s.updateCall(s.installUpdate)},
		{pattern: "POST /api/update/upload", level: admin, body: maxUpload, kind: uploadType, serve: s.uploadCall},
		{pattern: "POST /api/update/cancel", level: admin, call: s.updateCall(s.cancelUpdate)},
		{pattern: "POST /api/update/restart", level: admin, call: s.updateCall(s.restartBox)},
	}
}

// Updater installs new versions of the box. It is an [update.Updater].
type Updater interface {
	Status() update.Status
	Check(context.Context) error
	Start() error
	Upload(context.Context, io.Reader) error
	Cancel() bool
	Restart() error
}

const (
	// maxUpload is the greatest root with all that a bundle has around it.
	maxUpload = update.MaxRoot + 1<<20

	uploadType = "application/octet-stream"
	fileType   = "multipart/form-data"

	// An upload that says nothing for so long has ended, and so long may the box take to
	// read back what it has written before it answers.
	uploadSilence = time.Minute
	uploadAnswer  = 5 * time.Minute
	checkAnswer   = 2 * time.Minute
)

// updateView is the page of updates.
type updateView struct {
	Frame  frame
	Status update.Status
	Error  *problem
	Wait   bool // the box restarts: who asks again at once gets no answer
}

func (s *Server) updateView(r *request) *updateView {
	v := &updateView{Frame: s.frame(r, r.t("Update")), Status: s.o.Updater.Status()}
	v.Wait = v.Status.Phase == update.Restarting
	v.Frame.Still = v.Status.Phase == update.Idle || v.Wait
	return v
}

func (s *Server) updatePage() livePage {
	return livePage{template: "update.html", fragments: []string{"update-now", "update-new", "update-file"},
		data: func(r *request) (any, error) { return s.updateView(r), nil }}
}

// showUpdate shows the page after something was done, or not.
func (s *Server) showUpdate(w http.ResponseWriter, r *request, err error) {
	if err == nil {
		http.Redirect(w, r.Request, "/update", http.StatusSeeOther)
		return
	}
	v := s.updateView(r)
	v.Error = s.problemOf(r.Request, err)
	s.show(w, r, v.Error.code, "update.html", v)
}

// checkForUpdates asks the feed.
func (s *Server) checkForUpdates(r *request) error {
	return updateProblem(http.StatusBadGateway, s.o.Updater.Check(context.WithoutCancel(r.Context())))
}

func (s *Server) installUpdate(r *request) error {
	offered := s.o.Updater.Status().Available
	if err := s.o.Updater.Start(); err != nil {
		return updateProblem(http.StatusInternalServerError, err)
	}
	if offered != nil {
		s.note(r, access.UpdateAsked, "", ": version %s", offered.Version)
	}
	return nil
}

func (s *Server) cancelUpdate(*request) error {
	if !s.o.Updater.Cancel() {
		return problemf(http.StatusConflict, "", "There is no update that could be cancelled now.")
	}
	return nil
}

func (s *Server) restartBox(r *request) error {
	if err := s.o.Updater.Restart(); err != nil {
		return updateProblem(http.StatusInternalServerError, err)
	}
	s.note(r, access.RestartAsked, "", "")
	return nil
}

// upload installs the bundle that body has. It answers when all of it was written and
// read back.
func (s *Server) upload(w http.ResponseWriter, r *request, body io.Reader) error {
	// A bundle takes longer than the requests that the server knows otherwise.
	control := http.NewResponseController(w)
	control.SetWriteDeadline(time.Now().Add(uploadAnswer))
	s.note(r, access.UpdateAsked, "", ": an upload")
	patient := &patientBody{body, control}
	err := s.o.Updater.Upload(r.Context(), patient)
	if err != nil { // browsers read no answer before they have sent everything
		io.Copy(io.Discard, &hastyBody{patient, time.Now().Add(uploadAnswer)})
	}
	control.SetWriteDeadline(time.Now().Add(uploadSilence))
	return updateProblem(http.StatusBadRequest, err)
}

// patientBody puts the ends off after which the server gives up a request.
type patientBody struct {
	io.Reader
	control *http.ResponseController
}

func (b *patientBody) Read(p []byte) (int, error) {
	now := time.Now()
	b.control.SetReadDeadline(now.Add(uploadSilence))
	b.control.SetWriteDeadline(now.Add(uploadAnswer))
	return b.Reader.Read(p)
}

// hastyBody ends at a time.
type hastyBody struct {
	io.Reader
	end time.Time
}

func (b *hastyBody) Read(p []byte) (int, error) {
	if time.Now().After(b.end) {
		return 0, io.EOF
	}
	return b.Reader.Read(p)
}

// updateProblem gives an error that is none of those that a box refuses by a code and a sentence.
func updateProblem(code int, err error) error {
	if err == nil {
		return nil
	}
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(large)
	}
	text, reason := update.Explain(err)
	switch reason {
	case "":
	case update.Busy, update.RestartDue, update.Nothing, update.Unable, update.Canceled:
		code = http.StatusConflict
	case update.NoSpace:
		code = http.StatusInsufficientStorage
	default:
		code = http.StatusUnprocessableEntity
	}
	return problemf(code, "", "%s", text)
}

// updateForm is a button of the page.
func (s *Server) updateForm(act func(*request) error) func(http.ResponseWriter, *request) {
	return func(w http.ResponseWriter, r *request) { s.showUpdate(w, r, act(r)) }
}

func (s *Server) uploadForm(w http.ResponseWriter, r *request) {
	file, err := bundleOf(r)
	if err == nil {
		err = s.upload(w, r, file)
	}
	s.showUpdate(w, r, err)
}

// bundleOf returns the file of a form as it comes.
func bundleOf(r *request) (*multipart.Part, error) {
	none := wrong("", "Choose the file of a bundle first. Its name ends in .lintel.")
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, none
	}
	part, err := parts.NextPart()
	if err != nil || part.FormName() != "bundle" || part.FileName() == "" {
		return nil, none
	}
	return part, nil
}

// The JSON API.

func (s *Server) updateStatus(*request) (update.Status, error) { return s.o.Updater.Status(), nil }

// updateCall is a call without anything to say.
func (s *Server) updateCall(act func(*request) error) call {
	return takes(s, func(r *request, _ nothing) (update.Status, error) {
		err := act(r)
		return s.o.Updater.Status(), err
	})
}

func (s *Server) uploadCall(w http.ResponseWriter, r *request) {
	err := s.upload(w, r, r.Body)
	s.reply(w, r, s.o.Updater.Status(), err)
}
