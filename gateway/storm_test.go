package gateway

import (
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
	"golang.org/x/sync/errgroup"
)

// TestLoginStormOfAHouse: after a power cut all clients of a house come back at once,
// each with a password of its own, and all are let in. Nobody is refused for good: who
// has to wait for too long on a slow machine is told to come again. Their hashes
// are mosquitto's, so that each login computes one of ours.
func TestLoginStormOfAHouse(t *testing.T) {
	t.Parallel()
	clients := 200
	if testing.Short() {
		clients = 20
	}
	e, stop := startWith(t, closedConfig(), t.TempDir(), false)
	defer stop()
	o := claim(t, e)
	var file strings.Builder
	for i := range clients {
		salt := []byte("twelve bytes")
		key := sha512.Sum512(append(fmt.Append(nil, "secret of ", i), salt...))
		b := base64.StdEncoding.EncodeToString
		fmt.Fprintf(&file, "client%d:$6$%s$%s\n", i, b(salt), b(key[:]))
	}
	request, err := http.NewRequest("POST", o.url+"/api/users/import", strings.NewReader(file.String()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "text/plain")
	answer, err := o.http.Do(request)
	if err != nil || answer.StatusCode >= 300 {
		t.Fatal(answer, err)
	}
	answer.Body.Close()
	for _, round := range []string{"after the import", "once more"} {
		var all errgroup.Group
		var again atomic.Int64
		began := time.Now()
		for i := range clients {
			all.Go(func() error {
				name := fmt.Sprint("client", i)
				for {
					c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + e.Brokers[0].Addr.String()).SetClientID(name).
						SetAutoReconnect(false).SetUsername(name).SetPassword(fmt.Sprint("secret of ", i)).SetConnectTimeout(time.Minute))
					token := c.Connect()
					if !token.WaitTimeout(time.Minute) {
						return fmt.Errorf("%s: no answer", name)
					}
					c.Disconnect(0)
					if token.(*paho.ConnectToken).ReturnCode() != packets.ErrRefusedServerUnavailable {
						return token.Error()
					}
					again.Add(1)
				}
			})
		}
		if err := all.Wait(); err != nil {
			t.Fatalf("%s: %v", round, err)
		}
		t.Logf("%d clients were let in %s in %v, %d times after another try", clients, round, time.Since(began).Round(time.Millisecond), again.Load())
	}
}
