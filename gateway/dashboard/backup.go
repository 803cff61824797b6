package dashboard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"lintel/gateway/access"
)

func (s *Server) backupRoutes() []route {
	if s.o.Backups == nil {
		return nil
	}
	return []route{
		// Who may restore depends on whether the box is claimed: see mayRestore.
		{pattern: "GET /backup", level: everybody, unclaimed: true, serve: s.backupPage},
		{pattern: "POST /backup", level: admin, body: maxBackupForm, serve: s.makeBackupForm},
		{pattern: "POST /api/backup", level: admin, body: maxBackupForm, serve: s.makeBackup},
		{pattern: "POST /backup/restore", level: everybody, unclaimed: true, body: maxBackup, kind: multipartType, serve: s.restoreForm},
		{pattern: "POST /api/restore", level: everybody, unclaimed: true, body: maxBackup, kind: multipartType, serve: s.restore},
	}
}

// Backups make a backup of the whole box and put one in its place.
type Backups interface {
	// Last is when the box made its own last backup; zero: never.
	Last() time.Time
	// Write writes a backup of the box to w, encrypted if there is a passphrase. small
	// leaves queued messages out.
	Write(ctx context.Context, w io.Writer, passphrase string, small bool) error
	// Restore reads a backup whole and has the box restart with it. It says what is in it.
	// An error that matches ErrBackupRefused is one of the backup.
	Restore(ctx context.Context, r io.Reader, passphrase string) (string, error)
}

// ErrBackupRefused is the error of a backup that cannot be restored. The box has not
// changed.
var ErrBackupRefused = errors.New("the backup is refused")

const (
	maxBackup     = 16 << 30         // bytes that are read of one
	backupStall   = 30 * time.Second // that a browser may take for nothing
	maxPassphrase = 4096
	maxBackupForm = 32 << 10 // it stands there twice, and a form has three bytes for one

	multipartType = "multipart/form-data"
)

type backupView struct {
	Frame frame
	Now   time.Time
	Last  time.Time
	Claim bool // nobody has claimed the box: a backup brings its owner with it
	Far   bool
	Error *problem
	Done  string // what has been restored
}

func (s *Server) backupView(r *request) backupView {
	return backupView{Frame: s.frame(r, r.t("Backup")), Now: time.Now(), Last: s.o.Backups.Last(),
		Claim: !s.o.Claim.Claimed(), Far: !near(address(r.Request))}
}

func (s *Server) backupPage(w http.ResponseWriter, r *request) {
	if !s.mayRestore(w, r) {
		return
	}
	s.show(w, r, http.StatusOK, "backup.html", s.backupView(r))
}

// mayRestore answers those who may not restore a backup, and reports whether r may: an
// admin, and whoever is in the network of a box that nobody has claimed.
func (s *Server) mayRestore(w http.ResponseWriter, r *request) bool {
	switch {
	case s.o.Claim.Claimed():
		if may(r.level, access.Admin) {
			return true
		}
		s.refuseLevel(w, r, access.Admin)
	case !near(address(r.Request)):
		s.refuse(w, r, http.StatusForbidden, "A box that nobody has claimed takes a backup from its own network only.")
	default:
		return true
	}
	return false
}

func (s *Server) makeBackupForm(w http.ResponseWriter, r *request) {
	passphrase := r.PostFormValue("passphrase")
	var err error = wrong("again", "The passphrases differ. Type the same one twice.")
	if passphrase == r.PostFormValue("again") {
		err = s.writeBackup(w, r, passphrase, r.PostFormValue("small") == "yes")
	}
	if err != nil {
		v := s.backupView(r)
		v.Error = s.problemOf(r.Request, err)
		s.show(w, r, v.Error.code, "backup.html", v)
	}
}

type backupRequest struct {
	Passphrase string `json:"passphrase"`
	Small      bool   `json:"small"`
}

func (s *Server) makeBackup(w http.ResponseWriter, r *request) {
	var in backupRequest
	err := decode(r, &in)
	if err == nil {
		err = s.writeBackup(w, r, in.Passphrase, in.Small)
	}
	if err != nil {
		s.fail(w, r, err)
	}
}

// writeBackup answers with a backup. After an error nothing was answered yet.
func (s *Server) writeBackup(w http.ResponseWriter, r *request, passphrase string, small bool) error {
	if len(passphrase) > maxPassphrase {
		return wrong("passphrase", "A passphrase has %d bytes at most.", maxPassphrase)
	}
	release, err := s.backingUp()
	if err != nil {
		return err
	}
	defer release()
	out := &patientWriter{w: w, control: http.NewResponseController(w), head: func() {
		name := fmt.Sprintf("lintel-%s-%s.backup", s.o.ID, time.Now().UTC().Format("20060102-150405"))
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	}}
	s.note(r, access.BackupTaken, "", "")
	if err := s.o.Backups.Write(r.Context(), out, passphrase, small); err != nil {
		if !out.begun {
			return err
		}
		s.log.Warn("backup not made", "err", err)
		panic(http.ErrAbortHandler) // who reads it notices that it is cut
	}
	return nil
}

// backingUp lets one at a time make or restore a backup: each takes memory and the card.
func (s *Server) backingUp() (release func(), err error) {
	release, ok := s.backups.take()
	if !ok {
		return nil, problemf(http.StatusServiceUnavailable, "", "A backup is being made or restored already. Wait until that is done.")
	}
	return release, nil
}

// patientWriter gives whoever reads slowly more time as long as something is read.
type patientWriter struct {
	w       io.Writer
	control *http.ResponseController
	head    func() // before the first byte
	begun   bool
}

func (p *patientWriter) Write(b []byte) (int, error) {
	if !p.begun {
		p.begun = true
		p.head()
	}
	p.control.SetWriteDeadline(time.Now().Add(backupStall))
	return p.w.Write(b)
}

// patientReader gives whoever sends slowly more time as long as something comes.
type patientReader struct {
	r       io.Reader
	control *http.ResponseController
}

func (p patientReader) Read(b []byte) (int, error) {
	p.control.SetReadDeadline(time.Now().Add(backupStall))
	return p.r.Read(b)
}

func (s *Server) restoreForm(w http.ResponseWriter, r *request) {
	if !s.mayRestore(w, r) {
		return
	}
	done, err := s.restoreBackup(w, r)
	v := s.backupView(r)
	v.Done = done
	code := http.StatusOK
	if err != nil {
		v.Error = s.problemOf(r.Request, err)
		code = v.Error.code
	}
	s.show(w, r, code, "backup.html", v)
}

// restored is what was in a backup.
type restored struct {
	Restored string `json:"restored"`
}

func (s *Server) restore(w http.ResponseWriter, r *request) {
	if !s.mayRestore(w, r) {
		return
	}
	done, err := s.restoreBackup(w, r)
	s.reply(w, r, restored{done}, err)
}

// restoreBackup reads the fields passphrase and file, in this order.
func (s *Server) restoreBackup(w http.ResponseWriter, r *request) (string, error) {
	release, err := s.backingUp()
	if err != nil {
		return "", err
	}
	defer release()
	control := http.NewResponseController(w)
	control.SetWriteDeadline(time.Time{}) // until the last byte has come and was written
	r.Body = struct {
		io.Reader
		io.Closer
	}{patientReader{r.Body, control}, r.Body}
	parts, err := r.MultipartReader()
	if err != nil {
		return "", wrong("", "The form could not be read: %v.", err)
	}
	passphrase := ""
	for {
		part, err := parts.NextPart()
		switch {
		case err == io.EOF:
			return "", wrong("file", "Choose the file of a backup.")
		case err != nil:
			return "", wrong("", "The form could not be read: %v.", err)
		}
		switch part.FormName() {
		case "passphrase":
			if passphrase, err = readField(part); err != nil {
				return "", err
			}
		case "file":
			return s.restoreFile(w, r, part, passphrase)
		default:
			return "", wrong("", "There is a field %q. Send passphrase, if there is one, and then file.", part.FormName())
		}
	}
}

func readField(part *multipart.Part) (string, error) {
	text, err := io.ReadAll(io.LimitReader(part, maxPassphrase+1))
	if err != nil {
		return "", wrong("", "The form could not be read: %v.", err)
	}
	if len(text) > maxPassphrase {
		return "", wrong("passphrase", "A passphrase has %d bytes at most.", maxPassphrase)
	}
	return string(text), nil
}

func (s *Server) restoreFile(w http.ResponseWriter, r *request, file *multipart.Part, passphrase string) (string, error) {
	if file.FileName() == "" {
		return "", wrong("file", "Choose the file of a backup.")
	}
	done, err := s.o.Backups.Restore(r.Context(), file, passphrase)
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(backupStall))
	if errors.Is(err, ErrBackupRefused) {
		text := strings.TrimPrefix(err.Error(), ErrBackupRefused.Error()+": ")
		return "", problemf(http.StatusUnprocessableEntity, "file", "%s", sentence(errors.New(text)))
	}
	if err != nil {
		return "", err
	}
	s.note(r, access.BackupRestored, "", ": %s", done)
	return done, nil
}
