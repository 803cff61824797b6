package ezsp

import (
	"fmt"

	"lintel/serialbridge/zigbee"
)

// status is what the stack says of a command or a message: an sl_status, into which
// what versions before 14 say is translated.
type status uint32

// The statuses that mean something here.
const (
	statusOK              status = 0x0000
	statusInvalidState    status = 0x0002
	statusBusy            status = 0x0004
	statusNetworkUp       status = 0x0015
	statusNetworkDown     status = 0x0016
	statusNotJoined       status = 0x0017
	statusNoBuffers       status = 0x0019
	statusNoResource      status = 0x001a
	statusFull            status = 0x001c
	statusInvalid         status = 0x0021
	statusTransmitBusy    status = 0x0034
	statusTooLong         status = 0x0038
	statusMACNoAck        status = 0x0040
	statusIndirectTimeout status = 0x0041
	statusQueueFull       status = 0x0053
	statusSchedulerFail   status = 0x0054
	statusBlocked         status = 0x0058 // the channel is not clear

	statusHandoffDropped    status = 0x0c01
	statusDeliveryFailed    status = 0x0c02
	statusMessageLimit      status = 0x0c03
	statusSecurityNotSet    status = 0x0c0b
	statusSourceRouteFailed status = 0x0c13
	statusManyToOneFailed   status = 0x0c14
	statusPANIDChanged      status = 0x0c16
	statusChannelChanged    status = 0x0c17
	statusNetworkOpened     status = 0x0c18
	statusNetworkClosed     status = 0x0c19
	statusEZSP              status = 0x0c1e
	statusNoAPSAck          status = 0x0c20
	statusRouteUnderway     status = 0x0c24
	statusNoRoute           status = 0x0c26

	// emberBase is where statuses of before version 14 are put that have
	// no sl_status here.
	emberBase status = 0xe000
)

// statuses are the names, and the numbers before version 14 (0: none).
var statuses = map[status]struct {
	ember uint8
	name  string
}{
	statusOK:                {0, "OK"},
	statusInvalidState:      {0x70, "not possible now"},
	statusBusy:              {0xa1, "busy"},
	statusNetworkUp:         {0x90, "network up"},
	statusNetworkDown:       {0x91, "network down"},
	statusNotJoined:         {0x93, "no network"},
	statusNoBuffers:         {0x18, "no buffers"},
	statusNoResource:        {0, "no resource"},
	statusFull:              {0, "full"},
	statusInvalid:           {0x02, "invalid parameter"},
	statusTransmitBusy:      {0, "transmitter busy"},
	statusTooLong:           {0x74, "message too long"},
	statusMACNoAck:          {0x40, "no acknowledgement of the radio"},
	statusIndirectTimeout:   {0x42, "the child did not ask for it"},
	statusQueueFull:         {0x39, "transmit queue full"},
	statusSchedulerFail:     {0x87, "radio scheduler"},
	statusBlocked:           {0x8a, "channel not clear"},
	statusHandoffDropped:    {0x19, "packet dropped"},
	statusDeliveryFailed:    {0x66, "delivery failed"},
	statusMessageLimit:      {0x72, "too many messages"},
	statusSecurityNotSet:    {0xa8, "security not set"},
	statusSourceRouteFailed: {0xa9, "source route failed"},
	statusManyToOneFailed:   {0xaa, "many-to-one route failed"},
	statusPANIDChanged:      {0x9a, "PAN ID changed"},
	statusChannelChanged:    {0x9b, "channel changed"},
	statusNetworkOpened:     {0x9c, "network opened"},
	statusNetworkClosed:     {0x9d, "network closed"},
	statusEZSP:              {0, "refused by EZSP"},
	statusNoAPSAck:          {0, "no acknowledgement"},
	statusRouteUnderway:     {0, "looking for a route"},
	statusNoRoute:           {0, "no route"},
}

// fromEmber translates a status of before version 14.
func fromEmber(ember uint8) status {
	if ember == 0 {
		return statusOK
	}
	for s, known := range statuses {
		if known.ember == ember {
			return s
		}
	}
	return emberBase | status(ember)
}

func (s status) String() string {
	if known, ok := statuses[s]; ok {
		return known.name
	}
	return fmt.Sprintf("status 0x%04x", uint32(s))
}

// busy says that the stack may take the same a little later.
func (s status) busy() bool {
	switch s {
	case statusBusy, statusNoBuffers, statusNoResource, statusFull, statusTransmitBusy, statusQueueFull, statusMessageLimit, statusSchedulerFail, statusHandoffDropped:
		return true
	}
	return false
}

// delivery is the status as the house speaks of it. Cause is what a router or the
// stack has said of the way there in the meantime.
func (s status) delivery(cause zigbee.DeliveryReason) *zigbee.DeliveryError {
	code := uint8(s)
	if known := statuses[s].ember; known != 0 {
		code = known // one number for all versions
	}
	reason := zigbee.Refused
	switch {
	case s == statusDeliveryFailed, s == statusNoAPSAck, s == statusMACNoAck:
		reason = zigbee.NoAck
		if cause != "" {
			reason = cause
		}
	case s == statusIndirectTimeout:
		reason = zigbee.Expired
	case s == statusBlocked:
		reason = zigbee.NoChannel
	case s == statusSourceRouteFailed, s == statusManyToOneFailed, s == statusNoRoute, s == statusRouteUnderway:
		reason = zigbee.NoRoute
	case s.busy():
		reason = zigbee.NoBuffers
	}
	return &zigbee.DeliveryError{Reason: reason, Status: code}
}
