package mdns

import "time"

// A lifetime says until when a record holds. The zero value is of a record that
// is not there.
type lifetime struct {
	since time.Time
	ttl   time.Duration
	asked int // how often it was asked for anew
}

func (l *lifetime) expires() time.Time { return l.since.Add(l.ttl) }

// renew takes the TTL of a record that was just received.
func (l *lifetime) renew(now time.Time, ttl uint32) {
	if ttl == 0 {
		l.end(now)
		return
	}
	*l = lifetime{since: now, ttl: min(time.Duration(ttl)*time.Second, maxTTL)}
}

// end lets the record go in a second, unless somebody says it again meanwhile.
func (l *lifetime) end(now time.Time) {
	if now.Add(goodbyeTime).Before(l.expires()) || l.ttl == 0 {
		*l = lifetime{since: now, ttl: goodbyeTime, asked: refreshChecks}
	}
}

// doubt makes the record as old as one that is to be asked for at once and is
// gone in ten seconds.
func (l *lifetime) doubt(now time.Time) {
	const ttl = 50 * time.Second
	if doubted := now.Add(-ttl * 80 / 100); doubted.Add(ttl).Before(l.expires()) {
		*l = lifetime{since: doubted, ttl: ttl}
	}
}

// due returns when something is to be done about the record: asking for it anew
// or, at last, dropping it.
func (l *lifetime) due() time.Time {
	if l.asked < refreshChecks {
		return l.since.Add(l.ttl * time.Duration(80+5*l.asked) / 100)
	}
	return l.expires()
}

// work reports whether the record is to be asked for.
func (l *lifetime) work(now time.Time) (ask bool) {
	for l.asked < refreshChecks && !now.Before(l.due()) && now.Before(l.expires()) {
		l.asked++
		ask = true
	}
	return ask
}

// A schedule asks for what is not there: after a second, after two more, and so
// on up to an hour.
type schedule struct {
	tries int
	due   time.Time
}

func (s *schedule) start(now time.Time, delay time.Duration) { *s = schedule{due: now.Add(delay)} }

func (s *schedule) work(now time.Time) (ask bool) {
	if now.Before(s.due) {
		return false
	}
	s.due = now.Add(min(queryInterval<<min(s.tries, 12), queryIntervalMax))
	s.tries++
	return true
}
