package simulator

import (
	"fmt"
	"time"
)

// bluetoothGateway is an ESP32 that hears a Bluetooth sensor and writes what it
// says as lines of JSON, as OpenMQTTGateway does. It counts lux.
func bluetoothGateway(number uint64) Device {
	n := int64(0)
	return Device{Protocol: "jsonlines", Interval: time.Second, Talk: func(time.Time) []Frame {
		n++
		return one(fmt.Appendf(nil, `{"id":"A4:C1:38:00:%02X:%02X","brand":"Xiaomi","model":"MiFlora","model_id":"HHCCJCY01HHCC",`+
			`"tempc":%d.%d,"moi":%d,"lux":%d,"fer":350,"batt":97,"rssi":-%d}`+"\r\n",
			number>>8&0xFF, number&0xFF, 20+n%5, n%10, 30+n%20, n%200_000, 60+n%10), n, 0)
	}}
}
