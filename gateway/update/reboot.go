package update

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"lintel/gokrazy/supervisor"
)

const (
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
	err := supervisor.Init{Socket: filepath.Join(m.root, supervisor.Socket)}.Reboot(asked, patienceOfInit)
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
