package gateway

import (
	"archive/zip"
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"lintel/gateway/settings"
	"lintel/gateway/uplink"
)

// TestSupportOfTheHouse plants secrets wherever a house may have them, some where they do not
// belong, and finds none of them in the bundle.
func TestSupportOfTheHouse(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	secret := filepath.Join(data, "jwt.secret")
	planted := map[string]string{
		"uplink password": "planted-uplink-password", "Wi-Fi password": "planted-wifi-password", "front end's token": "planted-front-token",
		"network key": "a1b2c3d4e5f60718293a4b5c6d7e8f90", "meter's key": "00112233445566778899aabbccddeeff", "JWT secret": "planted-jwt-secret-of-32-bytes-or-more",
		"owner's password": ownerPassword,
	}
	if err := os.WriteFile(secret, []byte(planted["JWT secret"]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := localConfig()
	c.Access.JWT.SecretFile = secret
	c.Network.WiFi.SSID, c.Network.WiFi.Password = "home", planted["Wi-Fi password"]
	c.Zigbee.Token, c.Zigbee.NetworkKey = planted["front end's token"], planted["network key"]
	c.Serial.DSMR.Keys = map[string]string{"12345678": planted["meter's key"]}
	c.Uplinks = []settings.UplinkConfig{{Name: "cloud", URL: "mqtt://127.0.0.1:1", User: "u", Password: planted["uplink password"], Maps: []settings.UplinkMapConfig{{Direction: uplink.Out, Filter: "#"}}}}
	e, stop := startWith(t, c, data, true)
	defer stop()
	o := claim(t, e)
	planted["password of Home Assistant"] = o.homeassistant

	var token struct{ Token string }
	o.call("POST", "/api/tokens", map[string]string{"name": "watch", "level": "admin"}, &token)
	planted["API token"] = token.Token
	var made struct{ Password string }
	o.call("POST", "/api/users", map[string]string{"name": "garden"}, &made)
	planted["device's password"] = made.Password
	var pairing struct{ Code string }
	o.call("POST", "/api/pair/code", map[string]any{}, &pairing)
	planted["pairing code"] = strings.ReplaceAll(pairing.Code, " ", "")
	var certificate struct{ Key string }
	o.call("POST", "/api/certificates", map[string]string{"name": "garden"}, &certificate)
	planted["private key"] = certificate.Key
	for name, text := range planted {
		if text == "" {
			t.Fatalf("%s is empty", name)
		}
	}
	// Somebody has put a password where the name goes.
	client := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + e.Brokers[0].Addr.String()).SetClientID("x" + planted["uplink password"]).SetAutoReconnect(false))
	if token := client.Connect(); !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	defer client.Disconnect(0)

	status, text := o.try("GET", "/api/support", nil)
	if status != 200 {
		t.Fatalf("%d: %s", status, text)
	}
	z, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
		for name, secret := range planted {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s tells the %s", f.Name, name)
			}
		}
		for _, form := range []string{"$argon2", "PRIVATE KEY", "SCRAM-SHA-256$", "planted"} {
			if bytes.Contains(b, []byte(form)) {
				t.Errorf("%s has %s in it", f.Name, form)
			}
		}
	}
	for _, needed := range []string{"[[uplink]]", "lintel_clients_connected", "goroutine profile"} {
		if !strings.Contains(all.String(), needed) {
			t.Errorf("%s is not in the bundle", needed)
		}
	}
	t.Logf("%d files, %d bytes", len(z.File), len(text))
}

// TestLogServer: the log of a house comes to a log server.
func TestLogServer(t *testing.T) {
	t.Parallel()
	receiver, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	c := localConfig()
	c.Log.Syslog = "udp://" + receiver.LocalAddr().String()
	e, stop := startWith(t, c, t.TempDir(), false)
	defer stop()
	claim(t, e)
	b := make([]byte, 4096)
	receiver.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		n, _, err := receiver.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(b[:n]); strings.HasPrefix(text, "<30>1 2") && strings.Contains(text, " lintel lintel ") {
			return
		}
	}
}
