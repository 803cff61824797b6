package network

import (
	"fmt"
	"testing"
)

func TestParseRouters(t *testing.T) {
	const text = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	0101A8C0	0003	0	0	1	00000000	0	0	0
eth0	0001A8C0	00000000	0001	0	0	1	00FFFFFF	0	0	0
wlan0	00000000	FE02000A	0003	0	0	5	00000000	0	0	0
wlan0	00000000	0101A8C0	0003	0	0	5	00000000	0	0	0
tun0	00000000	00000000	0001	0	0	5	00000000	0	0	0
tun0	00000000	0202	0001	0	0	5	00000000	0	0	0
`
	if got := fmt.Sprint(parseRouters(text)); got != "[192.168.1.1 10.0.2.254]" {
		t.Error(got)
	}
}
