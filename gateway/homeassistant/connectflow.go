package homeassistant

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// flowPath is where Home Assistant is configured as its own pages do it.
const flowPath = "/api/config/config_entries/flow"

// maxSteps is how many steps there may be before the form of the broker.
const maxSteps = 4

// flowStep is what a flow is at.
type flowStep struct {
	Type    string         `json:"type"`
	FlowID  string         `json:"flow_id"`
	StepID  string         `json:"step_id"`
	Reason  string         `json:"reason"`
	Errors  map[string]any `json:"errors"`
	Options menuOptions    `json:"menu_options"`
	Fields  []flowField    `json:"data_schema"`
	Result  struct {
		State string `json:"state"`
	} `json:"result"`
}

// flowField is a field of a form.
type flowField struct {
	Name     string `json:"name"`
	Required bool   `json:"required"`
	Default  any    `json:"default"`
}

// menuOptions are those of a menu: a list of steps, or an object with a text for each.
type menuOptions []string

// UnmarshalJSON takes both.
func (o *menuOptions) UnmarshalJSON(text []byte) error {
	var list []string
	if json.Unmarshal(text, &list) == nil {
		*o = list
		return nil
	}
	var texts map[string]any
	if err := json.Unmarshal(text, &texts); err != nil {
		return err
	}
	for name := range texts {
		*o = append(*o, name)
	}
	return nil
}

// brokerForm is what the box fills in.
type brokerForm struct {
	Broker   string `json:"broker"`
	Port     int    `json:"port"`
	Username string `json:"username"`
	Password string `json:"password"`
}

var brokerFields = []string{"broker", "port", "username", "password"}

// errCannotConnect is what Home Assistant says when it does not get to a broker, or is not let in
// there.
var errCannotConnect = errors.New("cannot_connect")

// startFlow begins to set MQTT up and goes on to the form of the broker. What it has begun
// and cannot finish it deletes.
func (h *home) startFlow(ctx context.Context) (flowID string, err error) {
	step, err := h.step(ctx, callTime, flowPath, map[string]any{"handler": "mqtt", "show_advanced_options": false})
	defer func() {
		if err != nil && flowID != "" {
			h.deleteFlow(ctx, flowID)
		}
	}()
	for range maxSteps {
		if err != nil {
			return flowID, err
		}
		if step.Type == "abort" {
			return "", h.aborted(step.Reason)
		}
		if !validFlowID(step.FlowID) {
			return flowID, h.unknownStep(step)
		}
		flowID = step.FlowID
		switch {
		case step.Type == "menu" && slices.Contains(step.Options, "broker"):
			// Home Assistant OS offers its own broker beside.
			step, err = h.step(ctx, callTime, flowPath+"/"+flowID, map[string]string{"next_step_id": "broker"})
		case step.Type == "form" && step.StepID == "broker":
			return flowID, h.checkForm(step)
		default:
			return flowID, h.unknownStep(step)
		}
	}
	return flowID, h.unknownStep(step)
}

// validFlowID reports whether an id may stand in a path.
func validFlowID(id string) bool {
	return id != "" && len(id) <= 64 && !strings.ContainsFunc(id, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_'
	})
}

// checkForm says what is wrong with the form of the broker: in a later version it may
// have fields that the box knows nothing of.
func (h *home) checkForm(step *flowStep) error {
	var names, unknown []string
	for _, f := range step.Fields {
		names = append(names, f.Name)
		if f.Required && f.Default == nil && !slices.Contains(brokerFields, f.Name) && len(unknown) < 5 {
			unknown = append(unknown, quote(f.Name))
		}
	}
	if len(unknown) > 0 {
		return connectError(NotUnderstood, "This version of Home Assistant wants to know more about a broker than the box can tell: %s. Update the box, or connect by hand.", strings.Join(unknown, ", "))
	}
	for _, name := range brokerFields {
		if !slices.Contains(names, name) {
			return connectError(NotUnderstood, "This version of Home Assistant does not ask for the %s of a broker where the box expects it. Update both, or connect by hand.", name)
		}
	}
	return nil
}

// fillIn sends the form of the broker, and returns the state of the entry that is made
// of it. Home Assistant connects to the broker before it answers.
func (h *home) fillIn(ctx context.Context, flowID string, f brokerForm) (state string, err error) {
	step, err := h.step(ctx, formTime, flowPath+"/"+flowID, f)
	if err != nil {
		return "", err
	}
	switch step.Type {
	case "create_entry":
		return step.Result.State, nil
	case "abort":
		return "", h.aborted(step.Reason)
	case "form":
		var said []string
		for field, what := range step.Errors {
			text, _ := what.(string)
			if text == errCannotConnect.Error() {
				return "", errCannotConnect
			}
			said = append(said, quote(field)+": "+quote(text))
		}
		if len(said) > 0 {
			slices.Sort(said)
			return "", connectError(NotUnderstood, "Home Assistant does not like what the box filled in, it says %s. Connect by hand.", strings.Join(said[:min(len(said), 5)], ", "))
		}
	}
	return "", h.unknownStep(step)
}

// deleteFlow deletes a flow, so that it does not lie about in Home Assistant, also when
// there is no time left. That it fails does not matter: Home Assistant forgets flows when it
// is restarted.
func (h *home) deleteFlow(ctx context.Context, flowID string) {
	h.call(context.WithoutCancel(ctx), callTime, http.MethodDelete, flowPath+"/"+flowID, "", nil)
}

// step takes a step of a flow.
func (h *home) step(ctx context.Context, limit time.Duration, path string, body any) (*flowStep, error) {
	a, err := h.post(ctx, limit, path, body)
	if err != nil {
		return nil, err
	}
	message := messageOf(a.body)
	switch {
	case a.status == http.StatusUnauthorized:
		// The same answer for a token that is not valid, and for a user who may not.
		if may, err := h.get(ctx, "/api/"); err == nil && may.status == http.StatusOK {
			return nil, connectError(NotAllowed, "You have logged in to Home Assistant as a user who may not change its settings. Press Connect again, and log in there as an administrator.")
		}
		return nil, connectError(NotAllowed, "Home Assistant has logged the box out again. Press Connect again.")
	case a.status == http.StatusNotFound && message == "Invalid flow specified":
		return nil, connectError(NotUnderstood, "Home Assistant has forgotten on the way what the box asked for. It may have been restarted. Press Connect again.")
	case a.status == http.StatusNotFound && message == "Invalid handler specified":
		return nil, connectError(NotUnderstood, "This Home Assistant has no MQTT integration. Home Assistant comes with one: look for its error in the log there.")
	case a.status == http.StatusBadRequest && strings.HasPrefix(message, "Failed dependencies"):
		return nil, connectError(NotUnderstood, "Home Assistant cannot load what its MQTT integration needs: %s. Its log says more.", quote(message))
	}
	step := new(flowStep)
	return step, h.read(a, step)
}

// aborted says why Home Assistant does not go on.
func (h *home) aborted(reason string) error {
	switch reason {
	case "single_instance_allowed", "already_configured":
		return connectError(HasBroker, "This Home Assistant has an MQTT broker already, and takes one only. Let the box work with that one: that is bridge mode. Or delete MQTT in Home Assistant, at Settings, Devices & services, and press Connect again.")
	case "already_in_progress":
		return connectError(NotAllowed, "Somebody is setting MQTT up in Home Assistant right now. Finish or close that there, and press Connect again.")
	}
	return connectError(NotUnderstood, "Home Assistant does not set MQTT up, it says %s. Its log may say more; or connect by hand.", quote(reason))
}

func (h *home) unknownStep(step *flowStep) error {
	return connectError(NotUnderstood, "This version of Home Assistant sets MQTT up in a way that the box does not know (%s, %s). Update the box, or connect by hand.", quote(step.Type), quote(step.StepID))
}
