package lend

import (
	"encoding/binary"
	"math"

	"lintel/serialbridge"
)

// Commands of a client (RFC 2217, 2 and 3); the server's are 100 more.
const (
	comSignature          = 0
	comSetBaudRate        = 1
	comSetDataSize        = 2
	comSetParity          = 3
	comSetStopSize        = 4
	comSetControl         = 5
	comNotifyLineState    = 6
	comNotifyModemState   = 7
	comFlowControlSuspend = 8
	comFlowControlResume  = 9
	comSetLineStateMask   = 10
	comSetModemStateMask  = 11
	comPurgeData          = 12

	fromServer = 100
)

// Values of SET-CONTROL that are so for ever. A Port has no say in its control
// lines: opening it has raised DTR and RTS, it sends no BREAK and there is no
// flow control.
const (
	controlNoFlow        = 1
	controlBreakOff      = 6
	controlDTROn         = 8
	controlRTSOn         = 11
	controlNoInboundFlow = 14
)

// Values of PURGE-DATA.
const (
	purgeReceive  = 1 // what the stick said and the client has not got yet
	purgeTransmit = 2 // what the client said and the stick has not got yet
	purgeBoth     = 3
)

// signature is the name that a client is told.
const signature = "Lintel"

// A request is what a subnegotiation comes to.
type request struct {
	answer  []byte // as it is sent; nil: none
	purge   bool   // what the stick said and was not sent yet is to be dropped
	damaged string
}

// A comPort is the port as a client can set it.
type comPort struct {
	port      serialbridge.Port
	line      serialbridge.Line // as it is set
	suspended bool              // the client wants no data for now
}

// serve does what a client wants of the port in a subnegotiation, and answers
// with what is so now: whoever asks for what cannot be learns it from that.
func (p *comPort) serve(sub []byte) request {
	var r request
	if len(sub) == 0 || sub[0] != optionComPort {
		return r // none that was agreed upon
	}
	if len(sub) == 1 {
		r.damaged = damagedSyntax
		return r
	}
	what, value := sub[1], sub[2:]
	switch what {
	case comSignature:
		if len(value) == 0 { // else it is the client's own
			r.answer = subnegotiation(append([]byte{optionComPort, fromServer + what}, signature...)...)
		}
		return r
	case comFlowControlSuspend, comFlowControlResume:
		p.suspended = what == comFlowControlSuspend
		return r
	case comNotifyLineState, comNotifyModemState:
		return r // the client polls what a Port cannot say
	case comSetBaudRate:
		if len(value) != 4 {
			r.damaged = damagedSyntax
			return r
		}
		p.setBaudRate(binary.BigEndian.Uint32(value))
		now := binary.BigEndian.AppendUint32([]byte{optionComPort, fromServer + what}, uint32(p.line.Baud))
		r.answer = subnegotiation(now...)
		return r
	}
	if len(value) != 1 {
		r.damaged = damagedSyntax
		return r
	}
	var now byte
	switch what {
	case comSetDataSize:
		now = p.setDataSize(value[0])
	case comSetParity:
		now = p.setParity(value[0])
	case comSetStopSize:
		now = p.setStopSize(value[0])
	case comSetControl:
		if now = control(value[0]); now == 0 {
			return r
		}
	case comSetLineStateMask, comSetModemStateMask:
		now = 0 // no change of any line is told of
	case comPurgeData:
		if value[0] < purgeReceive || value[0] > purgeBoth {
			r.damaged = damagedSyntax
			return r
		}
		// Nothing waits for the stick when a command is read: data are
		// written before what comes behind them is looked at.
		r.purge = value[0] != purgeTransmit
		now = value[0]
	default:
		r.damaged = damagedSyntax
		return r
	}
	r.answer = subnegotiation(optionComPort, fromServer+what, now)
	return r
}

// set changes the setting of the line. If the port refuses it all stays as it is;
// that the stick is gone shows when it is read.
func (p *comPort) set(l serialbridge.Line) {
	if l != p.line && p.port.SetLine(l) == nil {
		p.line = l
	}
}

// setBaudRate sets the speed; 0 only asks for it, as with all settings.
func (p *comPort) setBaudRate(baud uint32) {
	if baud != 0 && baud <= math.MaxInt32 {
		l := p.line
		l.Baud = int(baud)
		p.set(l)
	}
}

func (p *comPort) setDataSize(bits byte) byte {
	if bits != 0 {
		l := p.line
		l.DataBits = int(bits)
		p.set(l)
	}
	return byte(p.line.DataBits)
}

// parities are the values of SET-PARITY that a Line can hold, from 1 on.
const parities = "NOE"

func (p *comPort) setParity(value byte) byte {
	if value != 0 && int(value) <= len(parities) {
		l := p.line
		l.Parity = parities[value-1]
		p.set(l)
	}
	for i := range len(parities) {
		if parities[i] == p.line.Parity {
			return byte(i + 1)
		}
	}
	return 0
}

// setStopSize sets the stop bits; 3 stands for one and a half, which a Line
// cannot hold.
func (p *comPort) setStopSize(value byte) byte {
	if value == 1 || value == 2 {
		l := p.line
		l.StopBits = int(value)
		p.set(l)
	}
	return byte(p.line.StopBits)
}

// control returns what is so of that which a value of SET-CONTROL asks for or
// wants changed; 0 if the value has no meaning.
func control(value byte) byte {
	switch value {
	case 0, 1, 2, 3, 17, 19: // flow control, of outbound data or both
		return controlNoFlow
	case 4, 5, 6:
		return controlBreakOff
	case 7, 8, 9:
		return controlDTROn
	case 10, 11, 12:
		return controlRTSOn
	case 13, 14, 15, 16, 18: // flow control of inbound data
		return controlNoInboundFlow
	}
	return 0
}
