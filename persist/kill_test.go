package persist

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"lintel/gateway/mqtt"
)

// payloadOf makes a payload that tells its message, of a length for each way of
// storing it: inline, under its own key, in the value log, to which one of each so
// many messages goes.
func payloadOf(id, largeEvery uint64) []byte {
	n := [...]int{20, 600, 200, 20, 3000, 100, 20, 300, 20, 20}[id%10]
	if id%largeEvery == 0 {
		n = 2 * valueThreshold
	}
	return bytes.Repeat([]byte(fmt.Sprintf("%019d,", id)), n/20)
}

// writeUntilKilled is the process that TestKill kills. It queues messages for
// two sessions and deletes some again, and says on standard output what it may
// rely on: "p id" the message is stored, "x id" it is about to be deleted, "d id"
// it is deleted, "r n" the retained message is at least n. If garbage is set it
// collects that all the time, and says "g n" when n files of the value log are gone.
func writeUntilKilled(dir string, largeEvery uint64, garbage bool) {
	fatal := func(err error) {
		if err != nil {
			fmt.Println("error", err)
			os.Exit(3)
		}
	}
	s, err := Open(dir, Options{MemTableSize: minMemTableSize, Budget: 32 << 10})
	fatal(err)
	state, err := s.Load()
	fatal(err)
	if len(state.Damaged) > 0 {
		fatal(fmt.Errorf("%d damaged, first %q", len(state.Damaged), state.Damaged[0]))
	}
	var setUp Batch
	for i := range uint32(2) {
		setUp.PutSession(Session{ID: i + 1, ClientID: fmt.Sprint(i + 1), Version: 5, ExpiryInterval: NeverExpires})
	}
	s.Append(&setUp, nil)

	type sent struct {
		id   uint64
		refs [2]*Ref
	}
	stored := make(chan sent, 100_000)
	if garbage {
		go func() {
			for range time.Tick(10 * time.Millisecond) {
				s.flatten(s.Stats().Tombstones)
			}
		}()
		go func() {
			n := uint64(0)
			for range time.Tick(10 * time.Millisecond) {
				s.shrinkValueLog()
				if removed := s.Stats().ValueLogsRemoved; removed > n {
					n = removed
					fmt.Println("g", n)
				}
			}
		}()
	}
	for id := state.NextID; ; id++ {
		fatal(s.Wait(context.Background()))
		m := &mqtt.Message{Topic: "t", Payload: payloadOf(id, largeEvery), QoS: byte(id%2) + 1}
		one := sent{id, [2]*Ref{new(Ref), new(Ref)}}
		var b Batch
		for i, r := range one.refs {
			b.PutEntry(uint32(i+1), Entry{ID: id, Body: id, QoS: m.QoS, Message: m}, r)
		}
		b.PutRetained(&mqtt.Message{Topic: "last", Payload: []byte(fmt.Sprint(id))})
		s.Append(&b, func() {
			fmt.Printf("p %d\nr %d\n", id, id)
			stored <- one
		})
		// Two of three go again some time after they came, a few of them so soon
		// that they are never written.
		select {
		case old := <-stored:
			if old.id%3 == 0 {
				continue
			}
			fmt.Println("x", old.id)
			var b Batch
			for i, r := range old.refs {
				b.DeleteEntry(uint32(i+1), old.id, r)
			}
			if old.id%2 == 0 {
				s.AppendLazy(&b)
			} else {
				s.Append(&b, func() { fmt.Println("d", old.id) })
			}
		default:
		}
	}
}

// TestKill kills a writing process at random moments: what it was told to be
// stored is there afterwards, and what it was told to be deleted is not.
func TestKill(t *testing.T) { testKill(t, 500, false) }

// TestKillWhileCollecting is TestKill while Badger merges its tables and writes files
// of its value log anew without a pause.
func TestKillWhileCollecting(t *testing.T) { testKill(t, 5, true) }

func testKill(t *testing.T, largeEvery uint64, garbage bool) {
	rounds := 10
	if garbage {
		rounds = 8
	}
	if testing.Short() {
		rounds = 2
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	dir := t.TempDir()
	must, mustNot := make(map[uint64]bool), make(map[uint64]bool)
	var retained, removed uint64
	for round := range rounds {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "LINTEL_PERSIST_WRITER="+dir, fmt.Sprint("LINTEL_PERSIST_LARGE=", largeEvery))
		if garbage {
			// The race detector finds what TestValueLogShrinks tells of.
			child.Env = append(child.Env, "LINTEL_PERSIST_GARBAGE=yes", "GORACE=log_path="+os.DevNull)
		}
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		stop := time.AfterFunc(patience, func() { child.Process.Kill() })
		in, lines, last := bufio.NewReader(out), 0, random.IntN(6000)
		if garbage {
			last += 2000 // the value log has to come to a second file
		}
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				break // a line without its end does not count
			}
			if lines++; lines == last {
				child.Process.Kill()
			}
			what, number, _ := strings.Cut(strings.TrimSpace(line), " ")
			id, err := strconv.ParseUint(number, 10, 64)
			if err != nil {
				t.Errorf("round %d: the writer says %q", round, line)
				break
			}
			switch what {
			case "p":
				must[id] = true
			case "x":
				delete(must, id)
			case "d":
				mustNot[id] = true
			case "r":
				retained = max(retained, id)
			case "g":
				removed++
			}
		}
		stop.Stop()
		child.Process.Kill()
		child.Wait()
		if t.Failed() || lines < last {
			t.Fatalf("round %d: the writer ended by itself after %d lines", round, lines)
		}

		s := open(t, dir, Options{MemTableSize: minMemTableSize})
		state := whole(t, s)
		if len(state.Damaged) > 0 {
			t.Errorf("round %d: damaged: %q", round, state.Damaged)
		}
		sessions := make([]map[uint64]bool, len(state.Sessions))
		for i, session := range state.Sessions {
			sessions[i] = make(map[uint64]bool)
			for _, e := range session.Inflight {
				sessions[i][e.ID] = true
				if !bytes.Equal(e.Message.Payload, payloadOf(e.ID, largeEvery)) {
					t.Errorf("round %d: message %d has the wrong payload", round, e.ID)
				}
			}
			for id := range must {
				if !sessions[i][id] {
					t.Errorf("round %d: message %d was stored and is lost", round, id)
				}
			}
			for id := range mustNot {
				if sessions[i][id] {
					t.Errorf("round %d: message %d was deleted and is back", round, id)
				}
			}
		}
		if len(must) > 0 && len(sessions) != 2 {
			t.Errorf("round %d: %d sessions", round, len(sessions))
		}
		if retained > 0 {
			if len(state.Retained) != 1 {
				t.Fatalf("round %d: %d retained messages", round, len(state.Retained))
			}
			if n, _ := strconv.ParseUint(string(state.Retained[0].Payload), 10, 64); n < retained {
				t.Errorf("round %d: the retained message is %d, stored was %d", round, n, retained)
			}
		}
		closeStore(t, s)
	}
	t.Logf("%d messages stored and not deleted, %d deleted, %d files of the value log removed", len(must), len(mustNot), removed)
	if garbage && removed == 0 && !testing.Short() {
		t.Error("no file of the value log was removed: nothing is proved")
	}
}
