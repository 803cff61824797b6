package serialbridge

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Line is the setting of a serial line.
type Line struct {
	Baud     int
	DataBits int  // 7 or 8
	Parity   byte // 'N', 'E' or 'O'
	StopBits int  // 1 or 2
	Flow     Flow // how either side says that it has no room
}

// Flow is how either side of a line makes the other one wait.
type Flow string

// The kinds of flow control, as they are written.
const (
	NoFlow   Flow = ""
	Hardware Flow = "rtscts"
	Software Flow = "xonxoff" // only what the stick wants to wait for: the bytes 11 and 13 from it
)

// String writes a line as people do: 9600 8N1, and the flow control if there is any.
func (l Line) String() string {
	s := fmt.Sprintf("%d %d%c%d", l.Baud, l.DataBits, l.Parity, l.StopBits)
	if l.Flow != NoFlow {
		s += " " + string(l.Flow)
	}
	return s
}

// ParseLine reads what [Line.String] writes.
func ParseLine(text string) (Line, error) {
	var l Line
	baud, format, _ := strings.Cut(strings.TrimSpace(text), " ")
	format, flow, _ := strings.Cut(format, " ")
	l.Flow = Flow(flow)
	wrong := fmt.Errorf("%.20q is no setting of a line; right is one such as \"9600 8N1\"", text)
	if _, err := fmt.Sscanf(baud, "%d", &l.Baud); err != nil || fmt.Sprint(l.Baud) != baud || len(format) != 3 {
		return Line{}, wrong
	}
	l.DataBits, l.Parity, l.StopBits = int(format[0]-'0'), format[1], int(format[2]-'0')
	if _, err := l.termios(); err != nil {
		return Line{}, fmt.Errorf("%w: %w", wrong, err)
	}
	return l, nil
}

// termios is the raw mode of tarm/serial, with any baud rate: BOTHER says that
// the rate is in Ospeed as a number.
func (l Line) termios() (unix.Termios, error) {
	t := unix.Termios{
		Iflag:  unix.IGNPAR,
		Cflag:  unix.CREAD | unix.CLOCAL | unix.BOTHER,
		Ispeed: uint32(l.Baud),
		Ospeed: uint32(l.Baud),
	}
	t.Cc[unix.VMIN] = 0
	t.Cc[unix.VTIME] = uint8(readTimeout / (100 * time.Millisecond))
	if l.Baud < 50 || l.Baud > 4_000_000 {
		return t, fmt.Errorf("%d baud: not between 50 and 4000000", l.Baud)
	}
	switch l.DataBits {
	case 7:
		t.Cflag |= unix.CS7
	case 8:
		t.Cflag |= unix.CS8
	default:
		return t, fmt.Errorf("%d data bits: neither 7 nor 8", l.DataBits)
	}
	switch l.Parity {
	case 'N':
	case 'E':
		t.Cflag |= unix.PARENB
	case 'O':
		t.Cflag |= unix.PARENB | unix.PARODD
	default:
		return t, fmt.Errorf("parity %q: none of N, E and O", l.Parity)
	}
	switch l.StopBits {
	case 1:
	case 2:
		t.Cflag |= unix.CSTOPB
	default:
		return t, fmt.Errorf("%d stop bits: neither 1 nor 2", l.StopBits)
	}
	switch l.Flow {
	case NoFlow:
	case Hardware:
		t.Cflag |= unix.CRTSCTS
	case Software:
		t.Iflag |= unix.IXON
		t.Cc[unix.VSTART], t.Cc[unix.VSTOP] = 0x11, 0x13
	default:
		return t, fmt.Errorf("flow control %q: neither rtscts nor xonxoff", l.Flow)
	}
	return t, nil
}
