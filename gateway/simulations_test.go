package gateway

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"

	"lintel/serialbridge/simulator"
)

// TestSimulations is a stick that somebody tries out: it is marked, and nothing of it stays
// when it is stopped, nor after a restart.
func TestSimulations(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	e, stop := startWith(t, localConfig(), data, false)
	messages := listenTo(t, e, "homeassistant/device/#", "lintel/#")
	o := claim(t, e)
	type state struct {
		Playing []struct{ Kind, Stick string }
		Kinds   []string
	}
	var now state
	o.get("/api/simulate", &now)
	if len(now.Playing) != 0 || !slices.Equal(now.Kinds, simulator.Kinds()) {
		t.Errorf("at first: %+v", now)
	}
	o.call("POST", "/api/simulate", map[string]string{"kind": "dsmr"}, &now)
	if len(now.Playing) != 1 || now.Playing[0].Kind != "dsmr" {
		t.Fatalf("playing: %+v", now)
	}
	for _, bad := range []struct {
		kind   string
		status int
	}{{"dsmr", 409}, {"nothing", 409}, {"", 400}} {
		if status, text := o.try("POST", "/api/simulate", map[string]string{"kind": bad.kind}); status != bad.status {
			t.Errorf("start %q: %d %s", bad.kind, status, text)
		}
	}
	isMeter := func(m paho.Message) bool {
		return strings.HasPrefix(m.Topic(), "homeassistant/device/lintel_dsmr_") && strings.Contains(string(m.Payload()), "energy_import")
	}
	meter := strings.TrimSuffix(strings.TrimPrefix(await(t, messages, "the meter in Home Assistant", isMeter).Topic(), "homeassistant/device/lintel_"), "/config")
	var list struct {
		Devices []struct {
			ID        string
			Simulated bool
		}
	}
	o.get("/api/devices?stick="+now.Playing[0].Stick, &list)
	if len(list.Devices) == 0 || !list.Devices[0].Simulated {
		t.Errorf("its devices: %+v", list)
	}
	await(t, messages, "its state", func(m paho.Message) bool { return m.Topic() == "lintel/"+meter+"/state" && len(m.Payload()) > 0 })

	o.call("DELETE", "/api/simulate/dsmr", nil, nil)
	gone := map[string]bool{"homeassistant/device/lintel_" + meter + "/config": false, "lintel/" + meter + "/state": false, "lintel/" + meter + "/availability": false,
		"lintel/" + now.Playing[0].Stick + "/availability": false}
	for range gone {
		await(t, messages, "an end of all that was retained", func(m paho.Message) bool {
			said, ours := gone[m.Topic()]
			if ours && !said && len(m.Payload()) == 0 {
				gone[m.Topic()] = true
				return true
			}
			return false
		})
	}
	if status, _ := o.try("GET", "/api/devices/"+meter, nil); status != http.StatusNotFound {
		t.Errorf("the meter that was stopped: %d", status)
	}
	if status, _ := o.try("DELETE", "/api/simulate/dsmr", nil); status != http.StatusConflict {
		t.Errorf("stopped again: %d", status)
	}

	// After a restart it is as if there had been none.
	now = state{}
	o.call("POST", "/api/simulate", map[string]string{"kind": "sml"}, &now)
	isSML := func(m paho.Message) bool {
		return strings.HasPrefix(m.Topic(), "homeassistant/device/lintel_sml") && len(m.Payload()) > 0
	}
	document := await(t, messages, "another meter in Home Assistant", isSML).Topic()
	id := strings.TrimSuffix(strings.TrimPrefix(document, "homeassistant/device/lintel_"), "/config")
	await(t, messages, "its state", func(m paho.Message) bool { return m.Topic() == "lintel/"+id+"/state" })
	stop()
	e, stop = startWith(t, localConfig(), data, false)
	defer stop()
	messages = listenTo(t, e, "homeassistant/device/#", "lintel/+/state", "lintel/+/availability")
	left := map[string]string{}
	await(t, messages, "the box", func(m paho.Message) bool {
		if strings.Contains(m.Topic(), id) || strings.Contains(m.Topic(), now.Playing[0].Stick) {
			left[m.Topic()] = string(m.Payload())
		}
		return m.Topic() == "lintel/gateway/availability" && string(m.Payload()) == "online"
	})
	for topic, payload := range left {
		if payload != "" {
			await(t, messages, "the end of "+topic, func(m paho.Message) bool { return m.Topic() == topic && len(m.Payload()) == 0 })
		}
	}
	var status struct{ Sticks []struct{ ID string } }
	o.at(e)
	if o.get("/api/status", &status); len(status.Sticks) != 0 {
		t.Errorf("after the restart there are %+v", status.Sticks)
	}
}
