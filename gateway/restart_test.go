package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/creack/pty"
	paho "github.com/eclipse/paho.mqtt.golang"

	"lintel/gateway/settings"
)

// A sensor that tells its humidity less often than its temperature has both after a
// restart: the state that was retained is taken up again.
func TestStateOutlastsARestart(t *testing.T) {
	t.Parallel()
	data, link := t.TempDir(), filepath.Join(t.TempDir(), "stick")
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	defer near.Close()
	if err := os.Symlink(near.Name(), link); err != nil {
		t.Fatal(err)
	}
	c := localConfig()
	c.Serial.Ports = []settings.PortConfig{{Path: link, Protocol: "jsonlines"}}
	c.Serial.Interval = 0
	sensor := `{"model":"Mi Jia round","model_id":"LYWSDCGQ",%s,"mac":"58:2D:34:33:AA:DF"}` + "\n"
	for _, run := range []struct{ said, state string }{
		{`"tempc":26,"hum":61.4`, `{"humidity":61.4,"temperature":26}`},
		{`"tempc":27`, `{"humidity":61.4,"temperature":27}`},
	} {
		e, stop := startWith(t, c, data, false)
		messages := listenTo(t, e, e.State)
		saying, said := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(said)
			again := time.NewTicker(20 * time.Millisecond) // what comes before the port is open is lost
			defer again.Stop()
			for {
				if _, err := fmt.Fprintf(far, sensor, run.said); err != nil {
					t.Error(err)
				}
				select {
				case <-saying:
					return
				case <-again.C:
				}
			}
		}()
		await(t, messages, run.state, func(m paho.Message) bool { return string(m.Payload()) == run.state })
		close(saying)
		<-said
		stop()
	}
}
