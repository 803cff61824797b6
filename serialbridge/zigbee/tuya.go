package zigbee

import (
	"encoding/binary"
	"time"
)

// The cluster of Tuya's datapoints and its commands that a network answers by
// itself (Tuya, "Zigbee Generic Interfaces", section 5).
const (
	ClusterTuya           = 0xef00
	TuyaSyncTime          = 0x24 // both ways
	TuyaConnectionStatus  = 0x25 // both ways: is the gateway in the internet?
	TuyaMCUVersionRequest = 0x10
	TuyaDataQuery         = 0x03
)

// TuyaEpoch is the year that a Tuya device counts its seconds from.
type TuyaEpoch int

// The years that occur. Which it is depends on the model.
const (
	TuyaSince1970 TuyaEpoch = 1970
	TuyaSince2000 TuyaEpoch = 2000
)

// TuyaTime is the payload that answers TuyaSyncTime: the time in UTC and in the zone of
// now, as seconds.
func TuyaTime(now time.Time, since TuyaEpoch) []byte {
	seconds := now.Unix()
	if since == TuyaSince2000 {
		seconds -= time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	}
	_, offset := now.Zone()
	payload := []byte{8, 0} // how many bytes follow
	payload = binary.BigEndian.AppendUint32(payload, uint32(seconds))
	return binary.BigEndian.AppendUint32(payload, uint32(seconds+int64(offset)))
}
