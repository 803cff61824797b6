package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"lintel/gateway/backup"
)

// takeBackup downloads a backup of the house.
func (o *owner) takeBackup(passphrase string) []byte {
	o.t.Helper()
	status, file := o.try("POST", "/api/backup", map[string]any{"passphrase": passphrase})
	if status != http.StatusOK {
		o.t.Fatalf("backup: %d: %s", status, file)
	}
	return file
}

// sendBackup uploads a backup.
func (o *owner) sendBackup(file []byte, passphrase string) (int, string) {
	o.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	form.WriteField("passphrase", passphrase)
	part, err := form.CreateFormFile("file", "box.backup")
	if err != nil {
		o.t.Fatal(err)
	}
	part.Write(file)
	form.Close()
	answer, err := o.http.Post(o.url+"/api/restore", form.FormDataContentType(), &body)
	if err != nil {
		o.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// A new box takes the backup of an old one before anybody has claimed it, restarts, and is
// the old one from then on.
func TestBackupOntoANewBox(t *testing.T) {
	t.Parallel()
	e, stop := startWith(t, closedConfig(), t.TempDir(), false)
	old := claim(t, e)
	var was, is struct{ ID string }
	old.get("/api/pair", &was)
	secret := strings.Repeat("correct horse ", 293)[:4096] // the longest that lintel backup takes
	file := old.takeBackup(secret)
	if status, _ := visit(t, e).sendBackup(file, secret); status != http.StatusUnauthorized {
		t.Errorf("a stranger restores a backup on a box that has an owner: %d", status)
	}
	if status, _ := visit(t, e).try("POST", "/api/backup", map[string]any{}); status != http.StatusUnauthorized {
		t.Errorf("a stranger takes a backup: %d", status)
	}
	stop()

	data := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ready, ended := make(chan Endpoints, 1), make(chan error, 1)
	go func() {
		ended <- Run(ctx, closedConfig(), Options{Data: data, Version: "test", Ready: func(e Endpoints) { ready <- e }})
	}()
	fresh := visit(t, <-ready)
	if status, text := fresh.sendBackup(file, "wrong horse"); status != http.StatusUnprocessableEntity || !strings.Contains(text, "passphrase is wrong") {
		t.Errorf("with another passphrase: %d: %s", status, text)
	}
	if status, text := fresh.sendBackup([]byte("hello"), ""); status != http.StatusUnprocessableEntity || !strings.Contains(text, "no backup of a box") {
		t.Errorf("a text: %d: %s", status, text)
	}
	if status, text := fresh.sendBackup(nil, ""); status != http.StatusUnprocessableEntity {
		t.Errorf("nothing: %d: %s", status, text)
	}
	if status, text := fresh.sendBackup(file, secret); status != http.StatusOK {
		t.Fatalf("%d: %s", status, text)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, ErrRestart) {
			t.Fatalf("the house ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the house did not restart")
	}
	if _, err := backup.Finish(data); err != nil {
		t.Fatal(err)
	}
	e, stop = startWith(t, closedConfig(), data, false)
	defer stop()
	if e.Unclaimed {
		t.Error("the owner did not come with the backup")
	}
	again := visit(t, e)
	again.call("POST", "/api/login", map[string]string{"user": "admin", "password": ownerPassword}, nil)
	if again.get("/api/pair", &is); is.ID != was.ID {
		t.Errorf("the box was %s and is %s", was.ID, is.ID)
	}
}
