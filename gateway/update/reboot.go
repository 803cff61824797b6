package update

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"time"
)

const (
	initSocket = "run/gokrazy-http.sock"
	// patienceOfInit is how long init waits for each program to end, and then again for
	// those that it has killed.
	patienceOfInit = 20 * time.Second
	// rebootTime is how long an orderly restart may take.
	rebootTime = 2*patienceOfInit + 20*time.Second
)

// Reboot restarts the machine: in order, which has every program told to end, or hard when
// init does not answer or does not come to it. All that was written is on the disk first.
// It returns only when that has failed or ctx has ended, as it does for a program that init has told to end.
func (m *Machine) Reboot(ctx context.Context) error {
	syncAll()
	asked, cancel := context.WithTimeout(ctx, rebootTime)
	defer cancel()
	err := m.askInit(asked)
	if err == nil {
		<-asked.Done() // this program is ended before that
		err = fmt.Errorf("init has not restarted the machine in %v", rebootTime)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	syncAll()
	if hard := m.restart(); hard != nil {
		return fmt.Errorf("restart: %w (%w)", hard, err)
	}
	return nil
}

// askInit asks init for a restart. Not with async=true: that restarts the machine after one
// second, whether programs have ended or not.
func (m *Machine) askInit(ctx context.Context) error {
	address := fmt.Sprintf("http://init/reboot?kexec=off&wait_per_signal=%v", patienceOfInit)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
	if err != nil {
		return err
	}
	response, err := m.initClient().Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("init answers %s", response.Status)
	}
	return nil
}

// initClient speaks with gokrazy's init.
func (m *Machine) initClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(m.root, initSocket))
		},
		DisableKeepAlives: true,
	}}
}
