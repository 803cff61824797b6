package lend

import (
	"bytes"
	"testing"

	"lintel/serialbridge"
)

var line9600 = serialbridge.Line{Baud: 9600, DataBits: 8, Parity: 'N', StopBits: 1}

// linePort is a port that knows what a serialbridge.TTY can be set to.
type linePort struct {
	serialbridge.Port
	line serialbridge.Line
	gone bool
}

func (p *linePort) SetLine(l serialbridge.Line) error {
	if p.gone {
		return serialbridge.ErrUnplugged
	}
	if _, err := serialbridge.ParseLine(l.String()); err != nil {
		return err
	}
	p.line = l
	return nil
}

// current returns the setting; before if it was never set.
func (p *linePort) current(before serialbridge.Line) serialbridge.Line {
	if p.line == (serialbridge.Line{}) {
		return before
	}
	return p.line
}

// An exchange is a subnegotiation of a client and its answer, byte for byte.
type exchange struct {
	name           string
	client, server []byte
	line           string // as it is then
	purge          bool
	damaged        bool
}

// exchanges are in the form that RFC 2217 gives in its sections 2 and 3, and
// build upon one another.
func exchanges() []exchange {
	return []exchange{
		{name: "what is the baud rate?", client: []byte{255, 250, 44, 1, 0, 0, 0, 0, 255, 240},
			server: []byte{255, 250, 44, 101, 0, 0, 0x25, 0x80, 255, 240}, line: "9600 8N1"},
		{name: "115200 baud", client: []byte{255, 250, 44, 1, 0, 1, 0xC2, 0, 255, 240},
			server: []byte{255, 250, 44, 101, 0, 1, 0xC2, 0, 255, 240}, line: "115200 8N1"},
		{name: "a baud rate with a byte that is IAC: 65280", client: []byte{255, 250, 44, 1, 0, 0, 255, 255, 0, 255, 240},
			server: []byte{255, 250, 44, 101, 0, 0, 255, 255, 0, 255, 240}, line: "65280 8N1"},
		{name: "too fast", client: []byte{255, 250, 44, 1, 0x7F, 0, 0, 0, 255, 240},
			server: []byte{255, 250, 44, 101, 0, 0, 255, 255, 0, 255, 240}, line: "65280 8N1"},
		{name: "fastest", client: []byte{255, 250, 44, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 240},
			server: []byte{255, 250, 44, 101, 0, 0, 255, 255, 0, 255, 240}, line: "65280 8N1"},
		{name: "9600 baud", client: []byte{255, 250, 44, 1, 0, 0, 0x25, 0x80, 255, 240},
			server: []byte{255, 250, 44, 101, 0, 0, 0x25, 0x80, 255, 240}, line: "9600 8N1"},
		{name: "baud rate of three bytes", client: []byte{255, 250, 44, 1, 0, 0x25, 0x80, 255, 240}, line: "9600 8N1", damaged: true},

		{name: "how many data bits?", client: []byte{255, 250, 44, 2, 0, 255, 240}, server: []byte{255, 250, 44, 102, 8, 255, 240}, line: "9600 8N1"},
		{name: "7 data bits", client: []byte{255, 250, 44, 2, 7, 255, 240}, server: []byte{255, 250, 44, 102, 7, 255, 240}, line: "9600 7N1"},
		{name: "5 data bits", client: []byte{255, 250, 44, 2, 5, 255, 240}, server: []byte{255, 250, 44, 102, 7, 255, 240}, line: "9600 7N1"},
		{name: "200 data bits", client: []byte{255, 250, 44, 2, 200, 255, 240}, server: []byte{255, 250, 44, 102, 7, 255, 240}, line: "9600 7N1"},

		{name: "which parity?", client: []byte{255, 250, 44, 3, 0, 255, 240}, server: []byte{255, 250, 44, 103, 1, 255, 240}, line: "9600 7N1"},
		{name: "odd", client: []byte{255, 250, 44, 3, 2, 255, 240}, server: []byte{255, 250, 44, 103, 2, 255, 240}, line: "9600 7O1"},
		{name: "even", client: []byte{255, 250, 44, 3, 3, 255, 240}, server: []byte{255, 250, 44, 103, 3, 255, 240}, line: "9600 7E1"},
		{name: "mark", client: []byte{255, 250, 44, 3, 4, 255, 240}, server: []byte{255, 250, 44, 103, 3, 255, 240}, line: "9600 7E1"},
		{name: "no such parity", client: []byte{255, 250, 44, 3, 99, 255, 240}, server: []byte{255, 250, 44, 103, 3, 255, 240}, line: "9600 7E1"},

		{name: "how many stop bits?", client: []byte{255, 250, 44, 4, 0, 255, 240}, server: []byte{255, 250, 44, 104, 1, 255, 240}, line: "9600 7E1"},
		{name: "2 stop bits", client: []byte{255, 250, 44, 4, 2, 255, 240}, server: []byte{255, 250, 44, 104, 2, 255, 240}, line: "9600 7E2"},
		{name: "1.5 stop bits", client: []byte{255, 250, 44, 4, 3, 255, 240}, server: []byte{255, 250, 44, 104, 2, 255, 240}, line: "9600 7E2"},

		{name: "which flow control?", client: []byte{255, 250, 44, 5, 0, 255, 240}, server: []byte{255, 250, 44, 105, 1, 255, 240}},
		{name: "none", client: []byte{255, 250, 44, 5, 1, 255, 240}, server: []byte{255, 250, 44, 105, 1, 255, 240}},
		{name: "XON/XOFF", client: []byte{255, 250, 44, 5, 2, 255, 240}, server: []byte{255, 250, 44, 105, 1, 255, 240}},
		{name: "hardware", client: []byte{255, 250, 44, 5, 3, 255, 240}, server: []byte{255, 250, 44, 105, 1, 255, 240}},
		{name: "DSR", client: []byte{255, 250, 44, 5, 19, 255, 240}, server: []byte{255, 250, 44, 105, 1, 255, 240}},
		{name: "BREAK?", client: []byte{255, 250, 44, 5, 4, 255, 240}, server: []byte{255, 250, 44, 105, 6, 255, 240}},
		{name: "BREAK on", client: []byte{255, 250, 44, 5, 5, 255, 240}, server: []byte{255, 250, 44, 105, 6, 255, 240}},
		{name: "DTR on", client: []byte{255, 250, 44, 5, 8, 255, 240}, server: []byte{255, 250, 44, 105, 8, 255, 240}},
		{name: "DTR off", client: []byte{255, 250, 44, 5, 9, 255, 240}, server: []byte{255, 250, 44, 105, 8, 255, 240}},
		{name: "RTS?", client: []byte{255, 250, 44, 5, 10, 255, 240}, server: []byte{255, 250, 44, 105, 11, 255, 240}},
		{name: "RTS off", client: []byte{255, 250, 44, 5, 12, 255, 240}, server: []byte{255, 250, 44, 105, 11, 255, 240}},
		{name: "inbound XON/XOFF", client: []byte{255, 250, 44, 5, 15, 255, 240}, server: []byte{255, 250, 44, 105, 14, 255, 240}},
		{name: "inbound DTR", client: []byte{255, 250, 44, 5, 18, 255, 240}, server: []byte{255, 250, 44, 105, 14, 255, 240}},
		{name: "no such control", client: []byte{255, 250, 44, 5, 20, 255, 240}},

		{name: "signature?", client: []byte{255, 250, 44, 0, 255, 240}, server: append(append([]byte{255, 250, 44, 100}, "Lintel"...), 255, 240)},
		{name: "signature", client: []byte{255, 250, 44, 0, 'x', 'y', 255, 240}},
		{name: "line state?", client: []byte{255, 250, 44, 6, 255, 240}},
		{name: "modem state?", client: []byte{255, 250, 44, 7, 255, 240}},
		{name: "line state mask", client: []byte{255, 250, 44, 10, 255, 255, 255, 240}, server: []byte{255, 250, 44, 110, 0, 255, 240}},
		{name: "modem state mask", client: []byte{255, 250, 44, 11, 255, 255, 255, 240}, server: []byte{255, 250, 44, 111, 0, 255, 240}},
		{name: "purge what was received", client: []byte{255, 250, 44, 12, 1, 255, 240}, server: []byte{255, 250, 44, 112, 1, 255, 240}, purge: true},
		{name: "purge what is to be sent", client: []byte{255, 250, 44, 12, 2, 255, 240}, server: []byte{255, 250, 44, 112, 2, 255, 240}},
		{name: "purge both", client: []byte{255, 250, 44, 12, 3, 255, 240}, server: []byte{255, 250, 44, 112, 3, 255, 240}, purge: true},
		{name: "purge something", client: []byte{255, 250, 44, 12, 4, 255, 240}, damaged: true},
		{name: "no command", client: []byte{255, 250, 44, 255, 240}, damaged: true},
		{name: "no value", client: []byte{255, 250, 44, 2, 255, 240}, damaged: true},
		{name: "no such command", client: []byte{255, 250, 44, 13, 1, 255, 240}, damaged: true},
		{name: "a server's command", client: []byte{255, 250, 44, 101, 0, 0, 0, 0, 255, 240}, damaged: true},
		{name: "another option", client: []byte{255, 250, 24, 0, 'v', 't', 255, 240}},
		{name: "no option", client: []byte{255, 250, 255, 240}},
	}
}

func TestComPort(t *testing.T) {
	port := &linePort{}
	com := comPort{port: port, line: line9600}
	for _, x := range exchanges() {
		var p parser
		_, c, rest := p.step(bytes.Clone(x.client))
		if c.verb != sb || len(rest) > 0 {
			t.Fatalf("%s: %+v", x.name, c)
		}
		r := com.serve(c.sub)
		if !bytes.Equal(r.answer, x.server) || r.purge != x.purge || (r.damaged != "") != x.damaged {
			t.Errorf("%s: %+v, want % X", x.name, r, x.server)
		}
		if x.line != "" && (com.line.String() != x.line || port.current(line9600) != com.line) {
			t.Errorf("%s: the line is %v and was set to %v", x.name, com.line, port.line)
		}
	}
	if com.serve([]byte{optionComPort, comFlowControlSuspend}); !com.suspended {
		t.Error("not suspended")
	}
	if com.serve([]byte{optionComPort, comFlowControlResume}); com.suspended {
		t.Error("suspended")
	}
	port.gone = true
	if r := com.serve([]byte{optionComPort, comSetDataSize, 8}); !bytes.Equal(r.answer, []byte{255, 250, 44, 102, 7, 255, 240}) {
		t.Errorf("without a stick: %+v", r)
	}
}
