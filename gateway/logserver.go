package gateway

import (
	"fmt"
	"time"

	"lintel/gateway/openmetrics"
	"lintel/gateway/syslog"
)

// newSyslog returns what sends the log to a log server; nil: there is none.
func (g *gateway) newSyslog() (*syslog.Sender, error) {
	c := g.config.Log
	if c.Syslog == "" {
		return nil, nil
	}
	ca, err := c.ReadCA()
	if err != nil {
		return nil, err
	}
	sender, err := syslog.New(syslog.Options{URL: c.Syslog, CA: ca, Host: g.config.MDNS.Host, App: "lintel", Level: c.Level, ClockKnown: g.clockShown, Logger: g.log})
	if err != nil {
		return nil, fmt.Errorf("log.syslog: %w", err)
	}
	return sender, nil
}

// clockShown is clockKnown for who asks before all parts are there.
func (g *gateway) clockShown() bool {
	if !g.built.Load() {
		return time.Now().Year() >= firstYear
	}
	return g.clockKnown()
}

func (g *gateway) writeSyslog(m *openmetrics.Writer) {
	if g.syslog == nil {
		return
	}
	st := g.syslog.Stats()
	m.Family("lintel_syslog_connected", openmetrics.Gauge, "Whether the log server is reached")
	m.Bool(st.Connected)
	m.Family("lintel_syslog_sent_total", openmetrics.Counter, "Messages sent to the log server")
	m.Sample(float64(st.Sent))
	m.Family("lintel_syslog_dropped_total", openmetrics.Counter, "Messages that the log server did not get")
	m.Sample(float64(st.Dropped))
}
