package dashboard

import (
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"lintel/gateway/openmetrics"
)

// meter counts what the pages do themselves.
type meter struct {
	answers [6]atomic.Uint64 // by the hundreds of their code
	running atomic.Int64
	bytes   atomic.Uint64

	mu    sync.Mutex
	times [len(answerBounds) + 1]uint64
	sum   time.Duration
}

var answerBounds = [...]float64{0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10}

// count counts the requests of a handler.
func (m *meter) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.running.Add(1)
		began := time.Now()
		c := measured{ResponseWriter: w, code: http.StatusOK}
		defer func() {
			m.running.Add(-1)
			m.answers[min(max(c.code/100, 0), len(m.answers)-1)].Add(1)
			m.bytes.Add(c.bytes)
			if w.Header().Get("Content-Type") == "text/event-stream" {
				return // takes as long as somebody looks
			}
			took := time.Since(began)
			i, _ := slices.BinarySearch(answerBounds[:], took.Seconds())
			m.mu.Lock()
			m.times[i]++
			m.sum += took
			m.mu.Unlock()
		}()
		next.ServeHTTP(&c, r)
	})
}

// measured is an answer that is measured.
type measured struct {
	http.ResponseWriter
	code  int
	bytes uint64
	sent  bool
}

func (c *measured) WriteHeader(code int) {
	if !c.sent && code >= 200 {
		c.code, c.sent = code, true
	}
	c.ResponseWriter.WriteHeader(code)
}

func (c *measured) Write(b []byte) (int, error) {
	c.sent = true
	n, err := c.ResponseWriter.Write(b)
	c.bytes += uint64(n)
	return n, err
}

// Unwrap is for [http.ResponseController].
func (c *measured) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (m *meter) write(w *openmetrics.Writer) {
	w.Family("lintel_http_responses_total", openmetrics.Counter, "Answers of the pages and the API, by the hundreds of their code")
	for i := 2; i < len(m.answers); i++ {
		w.Sample(float64(m.answers[i].Load()), "code", strconv.Itoa(i)+"xx")
	}
	w.Family("lintel_http_sent_bytes_total", openmetrics.Counter, "Bytes of these answers, without their heads")
	w.Sample(float64(m.bytes.Load()))
	w.Family("lintel_http_requests_in_flight", openmetrics.Gauge, "Requests that are being answered, open pages that follow what happens included")
	w.Sample(float64(m.running.Load()))
	m.mu.Lock()
	defer m.mu.Unlock()
	w.Family("lintel_http_response_seconds", openmetrics.Histogram, "Time that these answers took, without those that go on")
	w.Buckets(answerBounds[:], m.times[:], m.sum.Seconds())
}
