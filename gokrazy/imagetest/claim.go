package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// The logins of the test.
const (
	ownerPassword         = "boot, claim, pull the plug"
	homeAssistantPassword = "an emulated house"
)

// putPreseed puts a file that claims the box onto the card, as a person does.
func putPreseed(ctx context.Context, dir string) error {
	text := fmt.Sprintf("[claim]\npassword = %q\nname = \"Emulated\"\n[homeassistant]\npassword = %q\n", ownerPassword, homeAssistantPassword)
	if err := os.WriteFile(filepath.Join(dir, "preseed.toml"), []byte(text), 0o600); err != nil {
		return err
	}
	return mtools(ctx, dir, "mcopy", "preseed.toml", "::/lintel-preseed.toml")
}

// mtools runs a program on the first partition of the card.
func mtools(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, append([]string{"-i", fmt.Sprintf("disk.img@@%d", 8192*512)}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1") // the FAT is cut to its content
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, out)
	}
	return nil
}

// letIn configures the broker on the card to let everybody in: the clients of package
// witness have no logins.
func letIn(ctx context.Context, dir string) error {
	disk, err := os.Open(filepath.Join(dir, "disk.img"))
	if err != nil {
		return err
	}
	defer disk.Close()
	var first [8]byte // sector of partition 4, in its entry in the GPT
	if _, err := disk.ReadAt(first[:], 2*512+3*128+32); err != nil {
		return err
	}
	config := "[access.anonymous]\n\":1883\" = \"admin\"\n[http]\nlisten = \":80\"\n"
	if err := os.WriteFile(filepath.Join(dir, "lintel.toml"), []byte(config), 0o600); err != nil {
		return err
	}
	commands := "rm lintel/lintel.toml\ncd lintel\nwrite lintel.toml lintel.toml\n"
	cmd := exec.CommandContext(ctx, "debugfs", "-w", "-f", "-", fmt.Sprintf("disk.img?offset=%d", binary.LittleEndian.Uint64(first[:])*512))
	cmd.Dir = dir
	cmd.Stdin = bytes.NewReader([]byte(commands))
	if out, err := cmd.CombinedOutput(); err != nil || bytes.Contains(out, []byte("not found")) {
		return fmt.Errorf("debugfs: %w: %s", err, out)
	}
	return nil
}

// owner is a browser on the pages of the machine.
type owner struct {
	m      *machine
	client http.Client
}

func (m *machine) owner() *owner {
	jar, _ := cookiejar.New(nil) // has no errors
	return &owner{m, http.Client{Jar: jar, Timeout: time.Minute}}
}

// call makes a call with JSON and reads the answer into out.
func (o *owner) call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+o.m.http+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := o.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return fmt.Errorf("%s %s answers %s", method, path, answer.Status)
	}
	return json.NewDecoder(answer.Body).Decode(out)
}

// claim claims the machine, unless a file on its card has, and gives Home Assistant the
// password of the test.
func (m *machine) claim(ctx context.Context) error {
	if m.board.preseed {
		return m.checkClaimed(ctx)
	}
	o := m.owner()
	var ignored any
	if err := o.call(ctx, "POST", "/api/claim", map[string]string{"password": ownerPassword}, &ignored); err != nil {
		return err
	}
	return o.call(ctx, "PATCH", "/api/users/homeassistant", map[string]string{"password": homeAssistantPassword}, &ignored)
}

// checkClaimed checks that the machine knows its owner, and nobody else.
func (m *machine) checkClaimed(ctx context.Context) error {
	var ignored any
	err := m.until(ctx, time.Minute, func() error { // an emulated machine is busy for long after its start
		return m.owner().call(ctx, "POST", "/api/login", map[string]string{"user": "admin", "password": ownerPassword}, &ignored)
	})
	if err != nil {
		return err
	}
	if err := m.owner().call(ctx, "POST", "/api/claim", map[string]string{"password": ownerPassword}, &ignored); err == nil {
		return errors.New("the box was claimed a second time")
	}
	return nil
}
