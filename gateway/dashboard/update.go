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
		{pattern: "POST /update/check", level: admin, serve: s.checkForm},
		{pattern: "POST /update/install", level: admin, serve: s.installForm},
		{pattern: "POST /update/upload", level: admin, body: maxUpload, kind: fileType, serve: s.uploadForm},
		{pattern: "POST /update/cancel", level: admin, serve: s.cancelForm},
		{pattern: "POST /update/restart", level: admin, serve: s.restartForm},
		{pattern: "GET /api/update", level: admin, serve: s.showUpdateStatus},
		{pattern: "POST /api/update/check", level: admin, serve: s.checkCall},
		{pattern: "POST /api/update/install", level: admin, serve: s.installCall},
		{pattern: "POST /api/update/upload", level: admin, body: maxUpload, kind: uploadType, serve: s.uploadCall},
		{pattern: "POST /api/update/cancel", level: admin, serve: s.cancelCall},
		{pattern: "POST /api/update/restart", level: admin, serve: s.restartCall},
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

// phaseInWords is what the updater is doing.
func phaseInWords(lang string, p update.Phase) string {
	switch p {
	case update.Checking:
		return translate(lang, "checking")
	case update.Downloading:
		return translate(lang, "downloading")
	case update.Writing:
		return translate(lang, "writing")
	case update.Arming:
		return translate(lang, "reading back")
	case update.Restarting:
		return translate(lang, "restarting")
	case update.OnTrial:
		return translate(lang, "on trial")
	case update.Committing:
		return translate(lang, "is kept")
	}
	return string(p)
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
func (s *Server) checkForUpdates(w http.ResponseWriter, r *request) error {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(checkAnswer))
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

func (s *Server) cancelUpdate() error {
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

func (s *Server) checkForm(w http.ResponseWriter, r *request) {
	err := parse(r)
	if err == nil {
		err = s.checkForUpdates(w, r)
	}
	s.showUpdate(w, r, err)
}

func (s *Server) installForm(w http.ResponseWriter, r *request) {
	err := parse(r)
	if err == nil {
		err = s.installUpdate(r)
	}
	s.showUpdate(w, r, err)
}

func (s *Server) cancelForm(w http.ResponseWriter, r *request) {
	err := parse(r)
	if err == nil {
		err = s.cancelUpdate()
	}
	s.showUpdate(w, r, err)
}

func (s *Server) restartForm(w http.ResponseWriter, r *request) {
	err := parse(r)
	if err == nil {
		err = s.restartBox(r)
	}
	s.showUpdate(w, r, err)
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

func (s *Server) showUpdateStatus(w http.ResponseWriter, _ *request) {
	s.answer(w, http.StatusOK, s.o.Updater.Status())
}

// answerUpdate answers a call after something was begun, or not.
func (s *Server) answerUpdate(w http.ResponseWriter, r *request, err error) {
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, http.StatusAccepted, s.o.Updater.Status())
}

func (s *Server) checkCall(w http.ResponseWriter, r *request) {
	err := decode(r, &struct{}{})
	if err == nil {
		err = s.checkForUpdates(w, r)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.showUpdateStatus(w, r)
}

func (s *Server) installCall(w http.ResponseWriter, r *request) {
	err := decode(r, &struct{}{})
	if err == nil {
		err = s.installUpdate(r)
	}
	s.answerUpdate(w, r, err)
}

func (s *Server) cancelCall(w http.ResponseWriter, r *request) {
	err := decode(r, &struct{}{})
	if err == nil {
		err = s.cancelUpdate()
	}
	s.answerUpdate(w, r, err)
}

func (s *Server) restartCall(w http.ResponseWriter, r *request) {
	err := decode(r, &struct{}{})
	if err == nil {
		err = s.restartBox(r)
	}
	s.answerUpdate(w, r, err)
}

func (s *Server) uploadCall(w http.ResponseWriter, r *request) {
	s.answerUpdate(w, r, s.upload(w, r, r.Body))
}
