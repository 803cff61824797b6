package gateway

import (
	"context"
	"errors"
	"time"
)

// ErrRestart is how Run ends when somebody has asked for a restart. Who started the
// program is to start it again.
var ErrRestart = errors.New("somebody has asked for a restart")

// restartDelay is for the answer to reach the browser.
const restartDelay = time.Second

// restartSoon is restart when there was time to say so.
func (g *gateway) restartSoon() { time.AfterFunc(restartDelay, g.restart) }

// restart has Run end with ErrRestart.
func (g *gateway) restart() {
	select {
	case g.restarts <- struct{}{}:
	default: // it was asked for already
	}
}

// awaitRestart is the module that ends the house when somebody has asked for a restart.
func (g *gateway) awaitRestart(ctx context.Context) error {
	select {
	case <-g.restarts:
		return ErrRestart
	case <-ctx.Done():
		return nil
	}
}
