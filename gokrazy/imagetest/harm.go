package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"lintel/gateway/update"
)

// cardFull fills the card while the box is off, and looks whether the box lives with that.
func (c *chain) cardFull(ctx context.Context) error {
	marker := fmt.Sprintf("before the card was full, at %d", time.Now().UnixNano())
	if err := c.m.publishRetained(ctx, markerTopic, marker); err != nil {
		return err
	}
	c.m.kill()
	err := onPerm(ctx, c.dir, func(file string) error { return fill(ctx, file) })
	if err != nil {
		return err
	}
	if err := c.m.switchOn(ctx); err != nil {
		return err
	}
	if err := c.m.until(ctx, bootTimeout, c.m.connect); err != nil {
		return err
	}
	if err := c.m.kept(ctx, marker); err != nil {
		return err
	}
	// What nobody has to keep goes through.
	err = c.m.until(ctx, time.Minute, func() error {
		return c.m.client(ctx, "mosquitto_pub", "-q", "0", "-t", markerTopic+"/passing", "-m", "x").Run()
	})
	if err != nil {
		return fmt.Errorf("a full card keeps a client from publishing: %w", err)
	}
	if c.o, err = c.m.admin(ctx); err != nil {
		return err
	}
	s, err := c.o.update(ctx)
	if err != nil {
		return err
	}
	if s.Version != c.version {
		return fmt.Errorf("with a full card the box runs %s, not %s", s.Version, c.version)
	}
	page, err := c.o.page(ctx, "/")
	if err != nil {
		return err
	}
	if !regexp.MustCompile(`(?i)(card|disk|storage)[^<]{0,80}full|full[^<]{0,40}(card|disk)`).MatchString(page) {
		return fmt.Errorf("the page does not say that the card is full:\n%.6000s", page)
	}
	c.m.kill()
	err = onPerm(ctx, c.dir, func(file string) error {
		_, err := debugfs(ctx, file, "rm fill\n")
		return err
	})
	if err != nil {
		return err
	}
	return c.again(ctx, marker)
}

// again switches the box on and looks whether it is as before.
func (c *chain) again(ctx context.Context, marker string) error {
	if err := c.m.switchOn(ctx); err != nil {
		return err
	}
	if err := c.m.until(ctx, bootTimeout, c.m.connect); err != nil {
		return err
	}
	if err := c.m.kept(ctx, marker); err != nil {
		return err
	}
	_, err := c.m.awaitUpdate(ctx, bootTimeout, func(s update.Status) error {
		if s.Version != c.version || s.Phase != update.Idle {
			return fmt.Errorf("the box runs %s, phase %s", s.Version, s.Phase)
		}
		return nil
	})
	return err
}

// kept waits until a client gets the retained message.
func (m *machine) kept(ctx context.Context, marker string) error {
	client, err := m.subscribe(ctx)
	if err != nil {
		return err
	}
	defer client.close()
	return client.await(ctx, retainedTimeout, func(seen map[string]message) error {
		if got := seen[markerTopic].Payload; got != marker {
			return fmt.Errorf("%s was acknowledged as %q, and now is %q", markerTopic, marker, got)
		}
		return nil
	})
}

var freeBlocks = regexp.MustCompile(`(?m)^Free blocks:\s+(\d+)`)

// left is how many blocks of 4 KiB a full card has left: Linux keeps 4096 of an ext4 for
// itself, or 2 %, which no program can fill.
const left = 4096 + 64

// fill fills a file system in a file with a file of nothing.
func fill(ctx context.Context, file string) error {
	free, err := freeIn(ctx, file)
	if err != nil {
		return err
	}
	if free <= left {
		return errors.New("the card is full already")
	}
	if _, err := debugfs(ctx, file, fmt.Sprintf("write /dev/null fill\nfallocate fill 0 %d\n", free-left)); err != nil {
		return err
	}
	if free, err = freeIn(ctx, file); err == nil && free > left {
		err = fmt.Errorf("%d blocks of the card could not be filled", free-left)
	}
	return err
}

func freeIn(ctx context.Context, file string) (blocks int, err error) {
	out, err := debugfs(ctx, file, "stats -h\n")
	if err != nil {
		return 0, err
	}
	found := freeBlocks.FindSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("debugfs tells no free blocks: %.2000s", out)
	}
	return strconv.Atoi(string(found[1]))
}

// clockIn1970 starts the box without a clock and without anybody to tell it the time.
func (c *chain) clockIn1970(ctx context.Context) error {
	marker := fmt.Sprintf("before 1970, at %d", time.Now().UnixNano())
	if err := c.m.publishRetained(ctx, markerTopic, marker); err != nil {
		return err
	}
	c.m.kill()
	c.m.clock, c.m.offline = "1970-01-01", true
	if err := c.again(ctx, marker); err != nil {
		return err
	}
	if err := c.awaitMeters(ctx); err != nil {
		return err
	}
	marker += ", and in it"
	if err := c.m.publishRetained(ctx, markerTopic, marker); err != nil {
		return err
	}
	return c.m.kept(ctx, marker)
}
