package gateway

import (
	"testing"

	"lintel/gateway/backup"
)

// A box on which another one was restored is that one, whatever board it is.
func TestIdentity(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	o := Options{Data: data, Root: raspberryPi(t, "pi4.txt", data)}
	own, err := identify(o)
	fail(t, err)
	fail(t, writeFile(data, backup.IDFile, "oldbox\n"))
	restored, err := identify(o)
	if err != nil || restored.ID != "oldbox" || own.ID == "" || own.ID == restored.ID || restored.Model != own.Model {
		t.Errorf("%+v, and with the backup %+v, %v", own, restored, err)
	}
}
