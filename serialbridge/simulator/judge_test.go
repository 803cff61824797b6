package simulator

import (
	"slices"
	"testing"
	"time"
)

// The test of the soak test: it finds what is missing, invented, heard twice, and
// believed although it was damaged.
func TestJudge(t *testing.T) {
	p := &protocol{kind: "test", first: 2, settle: soon}
	opened := time.Unix(1000, 0)
	l := ledger{Unplugged: []time.Time{opened.Add(20 * time.Second)}}
	for i := range 19 {
		l.Sent = append(l.Sent, Sent{Frame: Frame{Count: int64(i + 1)}, Time: opened.Add(time.Duration(i+1) * time.Second), Opened: opened})
	}
	l.Sent[4].Fault = Cut  // 5; 6 may be missed
	l.Sent[9].Noise = 3    // 10 may be missed
	l.Sent[14].Lost = true // 15
	l.Sent = append(l.Sent, Sent{Frame: Frame{Count: 20}, Time: opened.Add(20*time.Second - unread/2), Opened: opened})
	for _, test := range []struct {
		name                       string
		heard                      []int64
		missed, invented, believed []int64
	}{
		{name: "all", heard: []int64{1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 19, 20}},
		{name: "what may be missed", heard: []int64{2, 3, 4, 7, 8, 9, 11, 12, 13, 14, 16, 17, 18, 19}},
		{name: "one missed", heard: []int64{1, 2, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 19}, missed: []int64{3}},
		{name: "one twice", heard: []int64{1, 2, 3, 3, 4, 7, 8, 9, 11, 12, 13, 14, 16, 17, 18, 19}, invented: []int64{3}},
		{name: "one invented", heard: []int64{1, 2, 3, 4, 99, 7, 8, 9, 11, 12, 13, 14, 16, 17, 18, 19}, invented: []int64{99}},
		{name: "damaged", heard: []int64{1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 14, 16, 17, 18, 19}, believed: []int64{5}},
		{name: "lost", heard: []int64{1, 2, 3, 4, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19}, believed: []int64{15}},
		{name: "out of order", heard: []int64{2, 3, 4, 8, 7, 9, 11, 12, 13, 14, 16, 17, 18, 19}, missed: []int64{7}, invented: []int64{7}},
	} {
		v := judge(p, l, test.heard)
		if !slices.Equal(v.missed, test.missed) || !slices.Equal(v.invented, test.invented) || !slices.Equal(v.believed, test.believed) {
			t.Errorf("%s: missed %d, invented %d, believed %d", test.name, v.missed, v.invented, v.believed)
		}
		if v.sent != 20 || v.lost != 1 || v.damaged != 1 || v.sure != 14 {
			t.Errorf("%s: %v", test.name, v)
		}
	}
}
