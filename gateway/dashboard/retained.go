package dashboard

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"lintel/gateway/access"
	"lintel/gateway/mqtt"
)

// Retained is a retained message as GET /api/retained/TOPIC tells it.
type Retained struct {
	Topic      string          `json:"topic"`
	QoS        mqtt.QoS        `json:"qos"`
	Bytes      int             `json:"bytes"`
	AgeSeconds *int64          `json:"age_seconds,omitempty"` // none: it is older than this start of the box
	Expires    *int64          `json:"expires_in_seconds,omitempty"`
	JSON       json.RawMessage `json:"json,omitempty"` // if it is JSON; else
	Text       *string         `json:"text,omitempty"` // if it is UTF-8 without control characters; else
	Hex        string          `json:"hex,omitempty"`  // the first 4 KiB
	Properties []Property      `json:"properties,omitempty"`

	Pretty string `json:"-"` // JSON as people read it
}

// Property is one of MQTT 5.0.
type Property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

const (
	maxShownPayload = 256 << 10 // bytes of text or JSON
	maxHex          = 4 << 10
	maxDeleted      = 10_000 // retained messages at a time
)

// retained returns a retained message, if who asks may receive it.
func (s *Server) retained(r *request, topic string) (*Retained, error) {
	m, ok := s.o.MQTT.Retained(topic)
	if !ok || !may(r.level, admin) && !receives(s.o.Control.Policy(), s.identity(r), &m) {
		return nil, problemf(http.StatusNotFound, "", "Nothing is retained on %s.", shorten(topic))
	}
	o := &Retained{Topic: topic, QoS: m.QoS, Bytes: len(m.Payload)}
	if age, known := s.o.MQTT.RetainedFor(topic); known {
		seconds := int64(age.Seconds())
		o.AgeSeconds = &seconds
	}
	if !m.Expires.IsZero() {
		seconds := max(int64(time.Until(m.Expires).Seconds()), 0)
		o.Expires = &seconds
	}
	o.showPayload(m.Payload)
	o.Properties = propertiesOf(m.Properties)
	return o, nil
}

// showPayload shows it as what it is.
func (o *Retained) showPayload(payload []byte) {
	switch {
	case len(payload) <= maxShownPayload && json.Valid(payload):
		var b bytes.Buffer
		json.Indent(&b, payload, "", "  ")
		o.JSON, o.Pretty = payload, b.String()
	case len(payload) <= maxShownPayload && isText(payload):
		text := string(payload)
		o.Text = &text
	default:
		o.Hex = hex.EncodeToString(payload[:min(len(payload), maxHex)])
	}
}

func isText(b []byte) bool {
	return utf8.Valid(b) && !bytes.ContainsFunc(b, func(c rune) bool { return c < ' ' && c != '\n' && c != '\r' && c != '\t' || c == 0x7f })
}

// Dump is the payload as people read bytes.
func (o *Retained) Dump() string {
	b, _ := hex.DecodeString(o.Hex)
	return hex.Dump(b)
}

// propertiesOf reads the properties of a message.
func propertiesOf(b []byte) (list []Property) {
	p, err := mqtt.DecodeProperties(b)
	if err != nil {
		return nil
	}
	text := func(id mqtt.PropertyID, name string) {
		if p.Has(id) {
			v := p.Text(id)
			if !utf8.ValidString(v) {
				v = hex.EncodeToString([]byte(v))
			}
			list = append(list, Property{name, shorten(v)})
		}
	}
	if p.Has(mqtt.PayloadFormatIndicator) {
		list = append(list, Property{"payload_format_indicator", strconv.Itoa(int(p.Uint(mqtt.PayloadFormatIndicator, 0)))})
	}
	text(mqtt.ContentType, "content_type")
	text(mqtt.ResponseTopic, "response_topic")
	text(mqtt.CorrelationData, "correlation_data")
	for _, pair := range p.User() {
		list = append(list, Property{"user: " + shorten(pair.Name), shorten(pair.Value)})
	}
	return list
}

// deleteRetained deletes the retained message of a topic and, if below is set, those below
// it: for operators who may publish there, and for admins. It returns how many.
func (s *Server) deleteRetained(r *request, topic string, below bool) (n int, err error) {
	if !mqtt.ValidTopicName(topic) || strings.HasPrefix(topic, "$") {
		return 0, wrong("topic", "This is no topic that messages can be retained on by anybody but the broker.")
	}
	if !may(r.level, admin) {
		if below {
			return 0, problemf(http.StatusForbidden, "", "To delete all below a topic takes the level admin.")
		}
		_, err := s.retained(r, topic) // what they may not receive they do not hear of either
		if err == nil {
			err = s.mayPublishMessage(r, &mqtt.Message{Topic: topic, Retain: true})
		}
		if err != nil {
			return 0, err
		}
	}
	topics := []string{topic}
	if below {
		topics = s.o.MQTT.RetainedTopics(topic + "/#")
		if len(topics) > maxDeleted {
			return 0, problemf(http.StatusConflict, "", "There are more than %d retained messages below: delete below one of its levels.", maxDeleted)
		}
	} else if _, ok := s.o.MQTT.Retained(topic); !ok {
		return 0, problemf(http.StatusNotFound, "", "Nothing is retained on %s.", shorten(topic))
	}
	ctx, cancel := lasting(r)
	defer cancel()
	for _, topic := range topics {
		// [v5 MQTT-3.3.1-6]
		if err := s.o.Broker.Publish(ctx, mqtt.Message{Topic: topic, Retain: true}); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (s *Server) showRetained(r *request) (*Retained, error) {
	return s.retained(r, r.PathValue("topic"))
}

type deleted struct {
	Deleted int `json:"deleted"` // retained messages
}

func (s *Server) deleteRetainedCall(r *request) (deleted, error) {
	n, err := s.deleteRetained(r, r.PathValue("topic"), r.URL.Query().Get("below") == "true")
	return deleted{n}, err
}

// mayPublishMessage says why who asks may not publish a message.
func (s *Server) mayPublishMessage(r *request, m *mqtt.Message) error {
	id, policy := s.identity(r), s.o.Control.Policy()
	if id.Internal {
		return nil
	}
	p := policy.Permit(id, access.Publish, m.Topic)
	if p.Allowed() || p.Depends() && p.Message(m.QoS, m.Retain, m.Payload) {
		return nil
	}
	return problemf(http.StatusForbidden, "topic", "%s may not publish this there: %s.", r.user, policy.Explain(id, access.Publish, m.Topic, m).Why)
}
