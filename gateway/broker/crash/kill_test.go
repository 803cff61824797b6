package main

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"lintel/gateway/broker/witness"
)

// TestKill kills lintel with SIGKILL under the load of the matrix, starts it again
// and compares, several times on one data folder. It needs no root and no disk of
// its own; the kernel keeps what was written.
func TestKill(t *testing.T) {
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	ctx, dir := t.Context(), t.TempDir()
	program, err := build(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	config, err := writeConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	run := func() *victim {
		v, err := start(ctx, program, config, filepath.Join(dir, "data"))
		if err != nil {
			t.Fatalf("%v\n%s", err, &v.log)
		}
		t.Cleanup(v.kill)
		return v
	}
	for round := range rounds {
		v := run()
		ledger := witness.NewLedger(fmt.Sprint("kill-", round), nil)
		load, cancel := context.WithCancel(ctx)
		go func() {
			select {
			case <-ledger.Begun():
				<-time.After(time.Duration(200+300*round) * time.Millisecond)
			case <-load.Done():
			}
			cancel() // first: what breaks now is no error
			v.cmd.Process.Kill()
		}()
		report, err := witness.Load(load, v.addr, ledger, uint64(round), 10*time.Millisecond)
		cancel()
		v.kill()
		if err != nil || !report.OK() {
			t.Fatalf("under load: %v: %v %q", err, report, report.Notes)
		}
		w := ledger.At(0)
		acknowledged := w.Acknowledged()
		if acknowledged == 0 {
			t.Error("nothing was acknowledged: the round shows nothing")
		}
		v = run()
		if report := w.Check(ctx, v.addr); !report.OK() {
			t.Errorf("round %d, after %d acknowledged messages: %v: %q", round, acknowledged, report, report.Notes)
		}
		v.kill()
	}
}
