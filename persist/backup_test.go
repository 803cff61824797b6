package persist

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/gateway/mqtt"
)

func backup(t testing.TB, s *Store, small bool) ([]byte, Manifest) {
	t.Helper()
	var file bytes.Buffer
	m, err := s.Backup(t.Context(), &file, small)
	if err != nil {
		t.Fatal(err)
	}
	return file.Bytes(), m
}

// little is a store with a few short records, and its backup.
func little(t testing.TB) []byte {
	t.Helper()
	s := open(t, t.TempDir(), Options{})
	commit(t, s, batch(
		func(b *Batch) { b.PutSession(Session{ID: 1, ClientID: "c", Version: 5}) },
		func(b *Batch) { b.PutSubscription(1, Subscription{Filter: "f"}) },
		func(b *Batch) { b.PutEntry(1, Entry{ID: 1, QoS: 1, Message: message("t", 3)}, new(Ref)) },
		func(b *Batch) { b.PutIncoming(1, 1) },
		func(b *Batch) { b.PutRetained(message("r", 3)) },
		func(b *Batch) { b.putValue("b", "k", `{}`) },
	))
	file, _ := backup(t, s, false)
	closeStore(t, s)
	return file
}

// refusedBackup checks that a backup is refused in one line with all words.
func refusedBackup(t testing.TB, file []byte, passphrase string, words ...string) {
	t.Helper()
	_, err := VerifyBackup(bytes.NewReader(file), passphrase)
	if err == nil {
		t.Errorf("taken, want an error that says %q", words)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q is more than a line", err)
	}
}

// encrypt does what EncryptBackup does, with next to no work for the passphrase:
// the race detector makes a minute of a second.
func encrypt(t testing.TB, file []byte, passphrase string) []byte {
	t.Helper()
	var sealed bytes.Buffer
	w, err := encryptBackup(&sealed, passphrase, 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(file); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return sealed.Bytes()
}

// Every kind of record goes into a backup and comes out of it.
func TestBackupRoundTrip(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	var b Batch
	want, _ := sample(&b)
	commit(t, s, &b)
	putValue(t, bucket[lamp](t, s, "lamps"), "k", lamp{Name: "kitchen"})
	// Load puts what is restored beside what is wanted: all but incoming packet ids.
	for i := range want.Sessions {
		want.Sessions[i].Incoming = nil
	}
	small := *want
	small.Sessions = slices.Clone(want.Sessions)
	small.NextID = 1
	for i := range small.Sessions {
		small.Sessions[i].Inflight = nil
	}
	full, fullManifest := backup(t, s, false)
	precious, smallManifest := backup(t, s, true)
	if got, want := fullManifest.String(), "3 sessions, 3 subscriptions, 2 message bodies, 6 queued messages, 2 incoming packet ids, 3 retained messages, 1 bucket values"; got != want {
		t.Errorf("the full backup holds %q, want %q", got, want)
	}
	if got, want := smallManifest.String(), "3 sessions, 3 subscriptions, 2 incoming packet ids, 3 retained messages, 1 bucket values"; got != want {
		t.Errorf("the small backup holds %q, want %q", got, want)
	}
	for _, c := range []struct {
		name       string
		file       []byte
		passphrase string
		want       *State
		manifest   Manifest
	}{
		{"full", full, "", want, fullManifest},
		{"small", precious, "", &small, smallManifest},
		{"encrypted", encrypt(t, full, "ünlikely"), "ünlikely", want, fullManifest},
		{"passphrase that is not needed", full, "x", want, fullManifest},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir() + "/new/store"
			m, err := Restore(bytes.NewReader(c.file), dir, c.passphrase)
			if err != nil {
				t.Fatal(err)
			}
			c.manifest.Time = time.UnixMilli(c.manifest.Time.UnixMilli())
			if fmt.Sprint(m) != fmt.Sprint(c.manifest) || m.UUID != s.tx.meta.UUID || m.LSN != s.tx.meta.LSN || m.Small != (c.name == "small") || !m.Time.Equal(c.manifest.Time) {
				t.Errorf("the manifest is %+v, want %+v", m, c.manifest)
			}
			restored := open(t, dir, Options{})
			if restored.tx.meta.UUID != s.tx.meta.UUID || restored.tx.meta.LSN != s.tx.meta.LSN+1 {
				t.Errorf("meta is %+v, was %+v", restored.tx.meta, s.tx.meta)
			}
			same(t, whole(t, restored), c.want)
			if l, _ := bucket[lamp](t, restored, "lamps").Get("k"); l.Name != "kitchen" {
				t.Errorf("the bucket holds %+v", l)
			}
		})
	}
}

// A backup that is made while others write holds each transaction whole or not
// at all, and no later one without all that came before it.
func TestBackupUnderLoad(t *testing.T) {
	s := open(t, t.TempDir(), Options{MemTableSize: minMemTableSize})
	commit(t, s, batch(func(b *Batch) { b.PutSession(Session{ID: 1, ClientID: "c", Version: 5}) }))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	var written uint64
	go func() {
		for id := uint64(1); ctx.Err() == nil; id++ {
			if err := s.Wait(context.Background()); err != nil {
				ended <- err
				return
			}
			m := &mqtt.Message{Topic: "t", Payload: payloadOf(id, 500), QoS: 1}
			s.Append(batch(
				func(b *Batch) { b.PutEntry(1, Entry{ID: id, QoS: 1, Message: m}, new(Ref)) },
				func(b *Batch) { b.PutRetained(&mqtt.Message{Topic: "last", Payload: fmt.Append(nil, id)}) },
				func(b *Batch) { b.putValue("last", "a", fmt.Sprint(id)) },
			), nil)
			written = id
		}
		ended <- nil
	}()
	var files [][]byte
	for len(files) < 4 {
		file, _ := backup(t, s, false)
		files = append(files, file)
		// Whatever the speed: the next one comes after more was written.
		for before, deadline := s.Stats().Groups, time.Now().Add(patience); s.Stats().Groups < before+5; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatal("nothing is written")
			}
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	var lastOne uint64
	for i, file := range files {
		dir := t.TempDir() + "/store"
		if _, err := Restore(bytes.NewReader(file), dir, ""); err != nil {
			t.Fatal(err)
		}
		restored := open(t, dir, Options{})
		state := whole(t, restored)
		entries := state.Sessions[0].Inflight
		n := uint64(len(entries))
		for j, e := range entries {
			if e.ID != uint64(j+1) || !bytes.Equal(e.Message.Payload, payloadOf(e.ID, 500)) {
				t.Fatalf("backup %d: entry %d is of message %d", i, j, e.ID)
			}
		}
		if len(state.Retained) > 0 {
			value, _ := bucket[uint64](t, restored, "last").Get("a")
			if got := string(state.Retained[0].Payload); got != fmt.Sprint(n) || value != n {
				t.Errorf("backup %d: %d messages, but the retained one of %s and the value of %d", i, n, got, value)
			}
		}
		if n < lastOne || i > 0 && n == lastOne {
			t.Errorf("backup %d has %d messages, the one before %d", i, n, lastOne)
		}
		lastOne = n
		closeStore(t, restored)
	}
	t.Logf("%d messages written, %d in the last backup", written, lastOne)
}

// recordsOf tells where each record of a sound backup begins.
func recordsOf(t testing.TB, file []byte) (starts []int64) {
	t.Helper()
	b, err := openBackup(bytes.NewReader(file), "")
	if err != nil {
		t.Fatal(err)
	}
	for {
		starts = append(starts, b.start)
		if _, _, err := b.next(); errors.Is(err, io.EOF) {
			return append(starts, b.start)
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// One byte that is wrong, or missing, or too many, is found wherever it is, and
// the record is named.
func TestBackupDamage(t *testing.T) {
	file := little(t)
	starts := recordsOf(t, file)
	kinds := []string{"head", "meta", "meta", "sessions", "subscriptions", "queued messages", "incoming packet ids", "retained messages", "bucket values", "end"}
	if len(starts) != len(kinds) {
		t.Fatalf("%d records", len(starts))
	}
	t.Logf("%d bytes, %d records", len(file), len(starts))
	where := func(offset int) []string {
		switch {
		case offset < len(backupMagic):
			return []string{"not a backup of lintel, or its first bytes are damaged"}
		case int64(offset) < starts[0]:
			return []string{"first bytes"}
		}
		i, found := slices.BinarySearch(starts, int64(offset))
		if !found {
			i--
		}
		return []string{fmt.Sprintf("record %d at offset %d (", i, starts[i])}
	}
	for offset := range file {
		words := append(where(offset), "use another backup")
		for bit := range 8 {
			bad := slices.Clone(file)
			bad[offset] ^= 1 << bit
			refusedBackup(t, bad, "", words...)
		}
		refusedBackup(t, file[:offset], "", words...)
		refusedBackup(t, slices.Delete(slices.Clone(file), offset, offset+1), "", "use another backup")
		if t.Failed() {
			t.Fatalf("at offset %d", offset)
		}
	}
	refusedBackup(t, append(slices.Clone(file), 0), "", "record 9", "(end)", "more follows")
	// Where the key is sound the kind is told too: the checksum ends each record.
	for i, kind := range kinds {
		end := int64(len(file))
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		bad := slices.Clone(file)
		bad[end-1] ^= 1
		refusedBackup(t, bad, "", fmt.Sprintf("record %d at offset %d (%s)", i, starts[i], kind), "checksum")
	}
	// A record that is taken out, or comes twice, with all its bytes.
	for i := range len(starts) - 1 {
		without := slices.Delete(slices.Clone(file), int(starts[i]), int(starts[i+1]))
		refusedBackup(t, without, "", fmt.Sprintf("record %d ", i))
		twice := slices.Insert(slices.Clone(file), int(starts[i]), file[starts[i]:starts[i+1]]...)
		refusedBackup(t, twice, "", fmt.Sprintf("record %d ", i+1))
	}
}

func TestEncryptedBackup(t *testing.T) {
	file := little(t)
	sealed := encrypt(t, file, "right")
	if bytes.Contains(sealed, []byte("lintel")) {
		t.Error("not encrypted")
	}
	refusedBackup(t, sealed, "wrong", "the passphrase is wrong")
	refusedBackup(t, sealed, "", "encrypted", "give its passphrase")
	header := bytes.LastIndex(sealed[:len(sealed)-len(file)], []byte("\n---")) + 5
	for offset := header; offset < len(sealed); offset++ {
		bad := slices.Clone(sealed)
		bad[offset] ^= 1
		refusedBackup(t, bad, "right", "use another backup")
	}
	refusedBackup(t, sealed[:len(sealed)-1], "right", "use another backup")
	// The names of age's keys are long: a header without an end is not read for ever.
	endless := io.MultiReader(strings.NewReader(ageMagic+"-> "), neverEnding('a'))
	if _, err := VerifyBackup(endless, "x"); err == nil || !strings.Contains(err.Error(), "cannot be decrypted") {
		t.Errorf("a header without an end: %v", err)
	}
	// More work than this board is willing to do.
	hard := bytes.Replace(sealed, []byte(" 2\n"), []byte(" 30\n"), 1)
	refusedBackup(t, hard, "right", "work factor too large")
	if _, err := EncryptBackup(io.Discard, ""); err == nil {
		t.Error("encrypted without a passphrase")
	}
}

type neverEnding byte

func (b neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

// backupOf makes a file whose checksums are right, whatever is in it.
func backupOf(version uint16, records ...[2][]byte) []byte {
	var file bytes.Buffer
	b, err := newBackupWriter(&file, &Manifest{})
	if err != nil {
		panic(err)
	}
	for _, r := range records {
		if err := b.record(r[0], r[1]); err != nil {
			panic(err)
		}
	}
	b.w.Flush()
	if version != backupVersion {
		first := file.Bytes()[:len(backupMagic)+6]
		binary.BigEndian.PutUint16(first[len(backupMagic):], version)
		binary.LittleEndian.PutUint32(first[len(backupMagic)+2:], crc32.Checksum(first[:len(first)-4], castagnoli))
	}
	return file.Bytes()
}

func TestForeignBackups(t *testing.T) {
	record := func(key string, fields string) [2][]byte {
		return [2][]byte{[]byte(key), seal([]byte(key), []byte(fields))}
	}
	meta := record("\x01", "")
	end := [2][]byte{{backupEnd}, make([]byte, len(kinds))}
	otherStore := func(n byte) []byte {
		var file bytes.Buffer
		b := &backupWriter{w: bufio.NewWriter(&file)}
		b.buf = binary.BigEndian.AppendUint16([]byte(backupMagic), backupVersion)
		b.write(nil, nil)
		head := append([]byte{0, n}, make([]byte, 16)...)
		b.record([]byte{backupHead}, append(head, 0, 0, 0))
		b.w.Flush()
		return file.Bytes()
	}
	for _, c := range []struct {
		name  string
		file  []byte
		words []string
	}{
		{"nothing", nil, []string{"not a backup"}},
		{"text", []byte("homeassistant:\n"), []string{"not a backup"}},
		{"zeros", make([]byte, 1000), []string{"not a backup"}},
		{"newer", backupOf(backupVersion + 1), []string{"newer lintel", "backup format 2", "install the newer version"}},
		{"older", backupOf(backupVersion - 1), []string{"older lintel"}},
		{"newer store", otherStore(schema + 1), []string{"newer lintel", "store format 2", "install the newer version"}},
		{"no meta", backupOf(backupVersion, record("\x02c", "")), []string{"record 1 ", "meta"}},
		{"meta twice", backupOf(backupVersion, meta, meta), []string{"record 2 ", "out of order"}},
		{"out of order", backupOf(backupVersion, meta, record("\x02d", ""), record("\x02c", "")), []string{"record 3 ", "(sessions)", "out of order"}},
		{"unknown kind", backupOf(backupVersion, meta, record("\x30", "")), []string{"record 2 ", "unknown kind"}},
		{"empty key", backupOf(backupVersion, meta, record("", "")), []string{"record 2 "}},
		{"value of another key", backupOf(backupVersion, meta, [2][]byte{[]byte("\x02c"), meta[1]}), []string{"record 2 ", "(sessions)", "checksum"}},
		{"wrong counts", backupOf(backupVersion, meta, end), []string{"record 2 ", "(end)", "counts"}},
		{"no end", backupOf(backupVersion, meta), []string{"record 2 ", "the file ends here"}},
	} {
		t.Run(c.name, func(t *testing.T) { refusedBackup(t, c.file, "", c.words...) })
	}
	counted := [2][]byte{{backupEnd}, make([]byte, len(kinds))}
	counted[1][prefixMeta] = 1
	if m, err := VerifyBackup(bytes.NewReader(backupOf(backupVersion, meta, counted)), ""); err != nil || m.String() != "nothing" {
		t.Errorf("an empty backup: %v %v", m, err)
	}
}

// A file may claim any length: only what it really has takes memory.
func TestBackupLengthsAreNotBelieved(t *testing.T) {
	file := backupOf(backupVersion)
	file = binary.AppendUvarint(file, 10)
	file = binary.AppendUvarint(file, maxBackupValue)
	file = append(file, "0123456789 and a little"...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	refusedBackup(t, file, "", "record 1 ", "the file ends here")
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes of memory for a file of %d", n, len(file))
	}
	for _, claim := range []uint64{maxBackupKey + 1, 1 << 40, 1<<64 - 1} {
		refusedBackup(t, binary.AppendUvarint(backupOf(backupVersion), claim), "", "record 1 ", "longer than a record can be")
	}
}

// What is damaged in the store does not get into a backup, and nothing else
// stays out of it.
func TestBackupOfADamagedStore(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	commit(t, s, putRetained("good"))
	key := appendRetainedKey(nil, "bad")
	put(t, s, key, append(seal(key, nil), 1))
	put(t, s, []byte("\x30strange"), seal([]byte("\x30strange"), nil))
	file, m := backup(t, s, false)
	if want := []string{`retained message "bad": checksum does not match`, `key 30737472616e6765: unknown kind of record`}; !slices.Equal(m.Damaged, want) {
		t.Errorf("left out %q, want %q", m.Damaged, want)
	}
	m, err := VerifyBackup(bytes.NewReader(file), "")
	if err != nil || m.String() != "1 retained messages" {
		t.Errorf("holds %v, %v", m, err)
	}
}

func TestBackupThatEndsEarly(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	commit(t, s, putRetained("r"))
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if _, err := s.Backup(ctx, io.Discard, false); !errors.Is(err, enough) {
		t.Errorf("after the end of its context: %v", err)
	}
	full := errors.New("disk full")
	if _, err := s.Backup(t.Context(), failing{full}, false); !errors.Is(err, full) {
		t.Errorf("onto a full disk: %v", err)
	}
	// Close waits for one that is being made, and that one is whole.
	reader, writer := io.Pipe()
	began := make(chan error, 1)
	go func() {
		_, err := s.Backup(t.Context(), writer, false)
		writer.CloseWithError(err)
		began <- err
	}()
	first := make([]byte, 1)
	if _, err := io.ReadFull(reader, first); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	await(t, s.ended, "end of the store")
	for deadline := time.Now().Add(patience); s.reading.TryRLock(); runtime.Gosched() {
		s.reading.RUnlock()
		if time.Now().After(deadline) {
			t.Fatal("Close does not wait for the backup")
		}
	}
	if _, err := s.Backup(t.Context(), io.Discard, false); err == nil {
		t.Error("a backup of a closed store")
	}
	rest, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-began, <-closed); err != nil {
		t.Error(err)
	}
	if _, err := VerifyBackup(bytes.NewReader(append(first, rest...)), ""); err != nil {
		t.Error(err)
	}

	s = open(t, t.TempDir(), Options{})
	s.fail(errors.New("no disk"))
	if _, err := s.Backup(t.Context(), io.Discard, false); err == nil || !strings.Contains(err.Error(), "no disk") {
		t.Errorf("a backup of a failed store: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
