package z2m

import (
	"context"
	"sync"
)

// maxJobs is how many jobs wait for the same thing, and maxAllJobs for all.
const (
	maxJobs    = 64
	maxAllJobs = 2048
)

// jobs does what takes time: what is of one key in order, what is of different keys
// at the same time.
type jobs struct {
	wake chan struct{}

	mu      sync.Mutex
	queues  map[string][]func(context.Context) // a key without jobs is not in it
	active  map[string]bool
	waiting int
}

func (j *jobs) init() {
	j.wake = make(chan struct{}, 1)
	j.queues = make(map[string][]func(context.Context))
	j.active = make(map[string]bool)
}

// add takes a job. It returns false if too many are waiting.
func (j *jobs) add(key string, job func(context.Context)) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.queues[key]) >= maxJobs || j.waiting >= maxAllJobs {
		return false
	}
	j.queues[key] = append(j.queues[key], job)
	j.waiting++
	select {
	case j.wake <- struct{}{}:
	default:
	}
	return true
}

// next takes the first job of a key, or ends its turn.
func (j *jobs) next(key string) func(context.Context) {
	j.mu.Lock()
	defer j.mu.Unlock()
	queue := j.queues[key]
	if len(queue) == 0 {
		delete(j.active, key)
		delete(j.queues, key)
		return nil
	}
	j.queues[key] = queue[1:]
	j.waiting--
	return queue[0]
}

// idle returns the keys that have jobs and nobody who does them, and counts
// them as active.
func (j *jobs) idle() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var keys []string
	for key, queue := range j.queues {
		if len(queue) > 0 && !j.active[key] {
			j.active[key] = true
			keys = append(keys, key)
		}
	}
	return keys
}

// run does the jobs until ctx ends; what waits then is dropped.
func (j *jobs) run(ctx context.Context) {
	var workers sync.WaitGroup
	defer workers.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-j.wake:
		}
		for _, key := range j.idle() {
			workers.Go(func() {
				for job := j.next(key); job != nil; job = j.next(key) {
					if ctx.Err() == nil {
						job(ctx)
					}
				}
			})
		}
	}
}
