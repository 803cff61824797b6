package zigbee

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func readBackupFile(t testing.TB, name string) (*Backup, map[string]any) {
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	b := new(Backup)
	if err := json.Unmarshal(data, b); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var tree map[string]any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	return b, tree
}

// TestBackupsOfOthers reads backups and writes them again: but for who has written them
// nothing changes.
func TestBackupsOfOthers(t *testing.T) {
	for _, name := range []string{"backup_sample.json", "backup_znp.json", "backup_ezsp.json"} {
		b, want := readBackupFile(t, name)
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		want["metadata"].(map[string]any)["source"] = "lintel"
		for _, d := range want["devices"].([]any) {
			d := d.(map[string]any)
			if _, ok := d["is_child"]; !ok {
				d["is_child"] = true // what absence means
			}
		}
		if name == "backup_ezsp.json" {
			if got["coordinator_ieee"] != "00124b0000000001" {
				t.Errorf("the backwards address is read as %v", got["coordinator_ieee"])
			}
			if got["extended_pan_id"] != "0807060504030201" {
				t.Errorf("the backwards identifier is read as %v", got["extended_pan_id"])
			}
			want["coordinator_ieee"], want["extended_pan_id"] = got["coordinator_ieee"], got["extended_pan_id"]
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s has become\n%v, it was\n%v", name, got, want)
		}
		again := new(Backup)
		if err := json.Unmarshal(text, again); err != nil || !reflect.DeepEqual(b, again) {
			t.Errorf("%s: %+v, again %+v, %v", name, b, again, err)
		}
	}
}

func TestBackupSample(t *testing.T) {
	b, _ := readBackupFile(t, "backup_sample.json")
	if b.PANID != 0xcd0a || b.Coordinator != 0x00124b0009d80ba7 || b.Channel != 21 || b.FrameCounter != 108522 || b.ChannelMask != 1<<21 || len(b.Devices) != 6 {
		t.Errorf("%+v", b)
	}
	if d := b.Devices[4]; d.NetworkAddress != 0x06cb || d.IEEEAddress != 0x680ae2fffeae5647 || d.LinkKey.TxCounter != 370 || d.LinkKey.RxCounter != 4170 || d.LinkKey.Key[0] != 0x18 {
		t.Errorf("%+v", d)
	}
	if b.Devices[2].LinkKey != nil {
		t.Error("a key for a device that has none")
	}
}

func TestWrongBackups(t *testing.T) {
	data, err := os.ReadFile("testdata/backup_znp.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{`zigpy/open-coordinator-backup`, `zigpy/closed`},
		{`"version": 1,`, `"version": 2,`},
		{`"pan_id": "1a62"`, `"pan_id": "1a6200"`},
		{`"channel": 15`, `"channel": 10`},
		{`01030507090b0d0f00020406080a0c0d`, `0103`},
		{`01030507090b0d0f00020406080a0c0d`, `00000000000000000000000000000000`},
		{`0102030405060708`, `xx02030405060708`},
		{`"devices": []`, `"devices": [{"ieee_address": "12"}]`},
		{`{`, ``},
	} {
		text := strings.Replace(string(data), c[0], c[1], 1)
		if text == string(data) {
			t.Fatalf("%q is not in the backup", c[0])
		}
		if err := json.Unmarshal([]byte(text), new(Backup)); err == nil {
			t.Errorf("%q instead of %q is taken", c[1], c[0])
		}
	}
}

func TestCountersGoUp(t *testing.T) {
	b := &Backup{FrameCounter: 0xfffffff0, Date: time.Now().Add(time.Hour), Devices: []BackupDevice{{LinkKey: &LinkKey{TxCounter: 0xffffffff}}}}
	later := b.later(time.Now())
	if later.FrameCounter != 0xffffffff || later.Devices[0].LinkKey.TxCounter != 0xffffffff {
		t.Errorf("%+v", later)
	}
	b.FrameCounter, b.Date = 100, time.Time{}
	if got := b.later(time.Now()).FrameCounter; got != 100+counterReserve {
		t.Errorf("without a date %d", got)
	}
}

func FuzzBackup(f *testing.F) {
	for _, name := range []string{"backup_sample.json", "backup_znp.json", "backup_ezsp.json"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b := new(Backup)
		if json.Unmarshal(data, b) != nil {
			return
		}
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, new(Backup)); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		b.later(time.Now())
	})
}
