package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"io"
	"time"
)

func try(ctx context.Context, b board, kind string) error {
	r := &root{name: kind, version: "next-" + kind, counter: 4000000000}
	switch kind {
	case "panic":
		r.programs = []string{"lintel/gokrazy/imagetest/panic"}
	case "unplug":
		r.programs = []string{"lintel/gokrazy/imagetest/unplug"}
	}
	t := time.Now()
	if err := r.build(ctx, b); err != nil {
		return err
	}
	fmt.Println("built", time.Since(t))
	dir, err := b.flash(ctx, "-try")
	if err != nil {
		return err
	}
	disk, _ := os.OpenFile(filepath.Join(dir, "disk.img"), os.O_WRONLY, 0)
	from, _ := os.Open(r.file)
	n, err := io.Copy(io.NewOffsetWriter(disk, rootBAt), from)
	fmt.Println(n, err)
	disk.Close()
	cmdline, err := mtools(ctx, dir, "mtype", "::/cmdline.txt")
	if err != nil {
		return err
	}
	l := len(cmdline)
	c := strings.TrimRight(string(cmdline), " ") + " gokrazy.try_boot_inactive=1"
	c += strings.Repeat(" ", l-len(c))
	if err := putBootFile(ctx, dir, "cmdline.txt", c); err != nil {
		return err
	}
	fmt.Println(readBootFiles(ctx, dir))
	return b.boot(ctx, dir, settings{reboots: true, sticks: 1}, func(m *machine) error {
		unplug, err := m.plugIn(ctx, 0, []byte("hello\r\n"))
		if err != nil {
			return err
		}
		defer unplug()
		m.run(ctx, 30*time.Second)
		fmt.Println("boots", m.started())
		m.kill()
		fmt.Println(readBootFiles(ctx, dir))
		return nil
	})
}
