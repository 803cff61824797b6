package simulator

import (
	"fmt"
	"time"
)

// linkyHistoric is a French meter in historic mode (Enedis-NOI-CPT_02E) with the
// contract of one price. It counts Wh.
func linkyHistoric(number uint64) Device {
	n := int64(0)
	return Device{Protocol: "teleinfo", Interval: 2 * time.Second, Talk: func(time.Time) []Frame {
		n++
		t := tic{separator: ' ', frame: []byte{stx}}
		t.group("ADCO", fmt.Sprintf("0217610%05d", number))
		t.group("OPTARIF", "BASE")
		t.group("ISOUSC", "45")
		t.group("BASE", fmt.Sprintf("%09d", n))
		t.group("PTEC", "TH..")
		t.group("IINST", fmt.Sprintf("%03d", 2+n%7))
		t.group("IMAX", "090")
		t.group("PAPP", fmt.Sprintf("%05d", 460+n%1000))
		t.group("HHPHC", "A")
		t.group("MOTDETAT", "000000")
		return t.end(n)
	}}
}

// linkyStandard is a Linky in standard mode (Enedis-NOI-CPT_54E). It counts Wh.
func linkyStandard(number uint64) Device {
	n := int64(0)
	return Device{Protocol: "teleinfo", Interval: 2 * time.Second, Talk: func(now time.Time) []Frame {
		n++
		// H is UTC+1, E is UTC+2.
		date := now.UTC().Add(time.Hour).Format("H060102150405")
		if summer(now) {
			date = now.UTC().Add(2 * time.Hour).Format("E060102150405")
		}
		t := tic{separator: '\t', frame: []byte{stx}}
		t.group("ADSC", fmt.Sprintf("0417620%05d", number))
		t.group("VTIC", "02")
		t.group("DATE", date, "")
		t.group("NGTF", "      BASE      ")
		t.group("LTARF", "      BASE      ")
		t.group("EAST", fmt.Sprintf("%09d", n))
		t.group("EASF01", fmt.Sprintf("%09d", n))
		t.group("IRMS1", fmt.Sprintf("%03d", 2+n%7))
		t.group("URMS1", fmt.Sprintf("%03d", 230+n%5))
		t.group("PREF", "06")
		t.group("PCOUP", "06")
		t.group("SINSTS", fmt.Sprintf("%05d", 460+n%1000))
		t.group("STGE", "003A0001")
		t.group("MSG1", "PAS DE          MESSAGE         ")
		t.group("PRM", fmt.Sprintf("219999999%05d", number))
		t.group("RELAIS", "000")
		t.group("NTARF", "01")
		return t.end(n)
	}}
}

const (
	stx = 0x02
	etx = 0x03
)

// tic is a frame of the télé-information client that is being written.
type tic struct {
	separator byte
	frame     []byte
}

// group adds a group: a label, in standard mode perhaps a time, a value. Historic
// mode leaves the last separator out of the sum.
func (t *tic) group(label string, texts ...string) {
	group := []byte(label)
	for _, text := range texts {
		group = append(group, t.separator)
		group = append(group, text...)
	}
	guarded := group
	group = append(group, t.separator)
	if t.separator == '\t' {
		guarded = group
	}
	t.frame = append(t.frame, '\n')
	t.frame = append(t.frame, group...)
	t.frame = append(t.frame, byte(sum(guarded))&0x3F+0x20, '\r')
}

// end returns the frame. The checksum of its last group stands for all.
func (t *tic) end(n int64) []Frame {
	return one(append(t.frame, etx), n, len(t.frame)-2)
}
