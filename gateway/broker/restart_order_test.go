package broker_test

import (
	"testing"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// What waited and then was sent goes on being older than what was sent at once:
// the store knows the packet id of neither or only of what came first.
func TestRestartKeepsOrder(t *testing.T) {
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		for qos := mqtt.QoS(1); qos <= 2; qos++ {
			l := newLasting(t, broker.Options{})
			to := connect(t, l.server, durable(v, "to"))
			to.subscribe(filter("t", mqtt.SubscriptionOptions(qos)))
			to.bye()
			from := connect(t, l.server, clean(v, "from"))
			from.publish("t", "waited", qos, false)
			to = connect(t, l.server, durable(v, "to"))
			to.wantMessage("t", "waited", qos)
			from.publish("t", "at once", qos, false)
			to.wantMessage("t", "at once", qos)
			to = l.again(to, durable(v, "to"))
			to.wantMessage("t", "waited", qos)
			to.wantMessage("t", "at once", qos)
			to.barrier()
		}
	}, versions...)
}
