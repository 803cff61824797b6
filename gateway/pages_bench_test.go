package gateway

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// The house of the benchmark: as many devices and topics as a page is to stay fluid with,
// which say something as often as sensors do.
const (
	manySticks   = 5
	manyDevices  = 1000
	manyTopics   = 5000
	linesASecond = manyDevices / 60 // each device speaks once a minute
	measuredTime = 20 * time.Second
)

// openPages are ten pages that somebody has open at the same time.
var openPages = []string{"/", "/", "/devices", "/devices?q=A4", "/devices?page=5", "/devices/jsonlines_A4C138740001", "/broker", "/clients", "/welcome", "/devices?sort=name"}

// BenchmarkOpenPages measures what ten open pages cost a house with 1,000 devices and 5,000
// topics: %core is how much more of a processor the house takes than without them. pages/s and
// B/s are the changes that were sent to all of them.
//
//	go test -run '^$' -bench OpenPages -benchtime 1x ./gateway
func BenchmarkOpenPages(b *testing.B) {
	s, say := crowdedHouse(b)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ended:
				return
			case <-tick.C:
				for i := range linesASecond {
					say(n*linesASecond+i, n)
				}
			}
		}
	}()
	s.processorTime(measuredTime) // what all devices have said at once is being told still
	for b.Loop() {
		alone := s.processorTime(measuredTime)
		var open []io.Closer
		events, bytes := make(chan int, 1000), 0
		for _, path := range openPages {
			open = append(open, s.follow(path, events))
		}
		first := len(openPages)
		for first > 0 { // what each is sent at first is no change
			<-events
			first--
		}
		watched := make(chan time.Duration)
		go func() { watched <- s.processorTime(measuredTime) }()
		count := 0
		var with time.Duration
		for with == 0 {
			select {
			case n := <-events:
				count, bytes = count+1, bytes+n
			case with = <-watched:
			}
		}
		for _, c := range open {
			c.Close()
		}
		b.ReportMetric(100*alone.Seconds()/measuredTime.Seconds(), "%core-alone")
		b.ReportMetric(100*(with-alone).Seconds()/measuredTime.Seconds(), "%core")
		b.ReportMetric(float64(count)/measuredTime.Seconds(), "changes/s")
		b.ReportMetric(float64(bytes)/measuredTime.Seconds(), "B/s")
	}
}

// BenchmarkPageWithManyDevices is how long a page takes from the request to its last byte.
//
//	go test -run '^$' -bench PageWithMany ./gateway
func BenchmarkPageWithManyDevices(b *testing.B) {
	s, _ := crowdedHouse(b)
	for _, path := range []string{"/", "/devices", "/devices/jsonlines_A4C138740001", "/topics", "/api/devices"} {
		b.Run(strings.Trim(strings.ReplaceAll(path, "/", "_"), "_")+"-", func(b *testing.B) {
			size := 0
			for b.Loop() {
				res, err := s.owner.http.Get(s.owner.url + path)
				if err != nil {
					b.Fatal(err)
				}
				text, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || res.StatusCode != 200 {
					b.Fatal(res.Status, err)
				}
				size = len(text)
			}
			b.ReportMetric(float64(size), "B/page")
		})
	}
}

// crowdedHouse starts a house in a process of its own. say has one of its devices tell
// another temperature.
func crowdedHouse(b *testing.B) (s *homeStage, say func(device, value int)) {
	b.Helper()
	s = &homeStage{t: b, dir: b.TempDir()}
	s.wiring = wiring{Broker: freePort(b), Page: freePort(b)}
	var sticks []*os.File
	for i := range manySticks {
		far, near, err := pty.Open()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { far.Close(); near.Close() })
		link := filepath.Join(s.dir, fmt.Sprintf("lines%d", i))
		if err := os.Symlink(near.Name(), link); err != nil {
			b.Fatal(err)
		}
		s.wiring.Lines = append(s.wiring.Lines, link)
		sticks = append(sticks, far)
	}
	say = func(device, value int) {
		device %= manyDevices
		fmt.Fprintf(sticks[device%manySticks], "{\"id\":\"A4:C1:38:74:%02X:%02X\",\"brand\":\"Oria\",\"model\":\"TH Sensor\",\"tempc\":%.1f,\"hum\":43,\"batt\":90,\"rssi\":-70}\n",
			device>>8, device&0xff, 15+float64(value%100)/10)
	}
	s.start()
	s.owner.call("POST", "/api/claim", map[string]string{"password": ownerPassword}, nil)
	s.until("the sticks", func() bool { // a terminal that nobody has open answers each line
		var status struct{ Sticks []struct{ State string } }
		s.owner.get("/api/status", &status)
		online := 0
		for _, stick := range status.Sticks {
			if stick.State == "online" {
				online++
			}
		}
		return online == manySticks
	})
	go func() {
		for round := range 3 {
			for device := range manyDevices {
				say(device, round)
			}
		}
	}()
	client := s.mqtt(nil)
	for i := range manyTopics {
		client.Publish(fmt.Sprintf("plant/%d/line/%d/value", i/100, i%100), 0, true, strconv.Itoa(i))
	}
	s.did(client.Publish("plant/last", 1, true, "1"))
	client.Disconnect(0)
	s.until("all devices", func() bool {
		var status struct{ Devices []json.RawMessage }
		s.owner.get("/api/status", &status)
		return len(status.Devices) >= manyDevices
	})
	return s, say
}

// processorTime returns what the house has used in a while.
func (s *homeStage) processorTime(while time.Duration) time.Duration {
	before := s.used()
	timer := time.NewTimer(while)
	<-timer.C
	return s.used() - before
}

// used is the processor time of the house since it has started [proc_pid_stat(5)].
func (s *homeStage) used() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.process.Process.Pid))
	if err != nil {
		s.t.Error(err)
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

// follow opens a live page and tells the size of each change.
func (s *homeStage) follow(path string, changes chan<- int) io.Closer {
	s.t.Helper()
	r, err := http.NewRequest("GET", s.owner.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	res, err := s.owner.http.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	if kind := res.Header.Get("Content-Type"); res.StatusCode != 200 || kind != "text/event-stream" {
		s.t.Fatalf("%s: %s, %s", path, res.Status, kind)
	}
	go func() {
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "data: ") {
				changes <- len(lines.Text())
			}
		}
	}()
	return res.Body
}
