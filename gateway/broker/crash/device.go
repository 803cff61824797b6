package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// device is a loop device.
//
// All that may wait for its disk is done by other programs: the disk is in this
// process, and a process that is killed while it waits for itself never ends, nor
// does any sync of the whole machine.
type device string

// attach puts a loop device on a file, past the cache of files.
func attach(ctx context.Context, backing string) (device, error) {
	out, err := command(ctx, "losetup", "--find", "--show", "--direct-io=on", backing)
	return device(out), err
}

func (d device) detach() error {
	_, err := command(context.Background(), "losetup", "--detach", string(d))
	return err
}

// forget drops what the kernel has read of the device before: the disk in it was
// changed.
func (d device) forget(ctx context.Context) error {
	_, err := command(ctx, "blockdev", "--flushbufs", string(d))
	return err
}

// mkfs makes a file system with the options that are usual.
func (d device) mkfs(ctx context.Context) error {
	_, err := command(ctx, "mkfs.ext4", "-q", string(d))
	return err
}

// mount mounts the file system, which replays its journal.
func (d device) mount(ctx context.Context, dir string) error {
	_, err := command(ctx, "mount", "-t", "ext4", string(d), dir)
	return err
}

// fsck says what is wrong with the file system; nothing is changed.
func (d device) fsck(ctx context.Context) error {
	_, err := command(ctx, "e2fsck", "-fn", string(d))
	return err
}

// unmount unmounts a folder once the processes that were killed are gone.
func unmount(dir string) error {
	var err error
	for range 100 {
		if _, err = command(context.Background(), "umount", dir); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

// command runs a program and returns what it prints.
func command(ctx context.Context, program string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", program, err, bytes.Join(bytes.Fields(out), []byte(" ")))
	}
	return strings.TrimSpace(string(out)), nil
}

// sweep removes mounts and loop devices below dir that a process left behind when
// it ended in an unexpected way.
func sweep(dir string) {
	ctx := context.Background()
	mounts, _ := command(ctx, "findmnt", "--raw", "--noheadings", "--output", "TARGET")
	targets := strings.Split(mounts, "\n")
	for i := len(targets) - 1; i >= 0; i-- { // what was mounted last first
		if strings.HasPrefix(targets[i], dir+"/") {
			command(ctx, "umount", "--lazy", targets[i])
		}
	}
	loops, _ := command(ctx, "losetup", "--list", "--noheadings", "--raw", "--output", "NAME,BACK-FILE")
	for loop := range strings.Lines(loops) {
		if name, file, _ := strings.Cut(strings.TrimSpace(loop), " "); strings.HasPrefix(file, dir+"/") {
			command(ctx, "losetup", "--detach", name)
		}
	}
}
