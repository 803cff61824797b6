// Package broker is an MQTT broker for MQTT 3.1, 3.1.1 and 5.0.
package broker
