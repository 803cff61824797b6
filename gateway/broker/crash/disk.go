package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// diskSize is that of every disk. What is never written takes no memory.
const diskSize = 512 << 20

// disk is a file of a FUSE file system, with a loop device on it: what comes to
// the device as a flush comes here as fsync.
type disk struct {
	mu        sync.Mutex
	image     *image
	recording bool
	records   []record
}

// insert changes the disk for another. Nobody may be using it.
func (d *disk) insert(im *image) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.image = im
}

// record begins to record, from the state that it returns.
func (d *disk) record() (start *image) {
	d.mu.Lock()
	defer d.mu.Unlock()
	start = d.image
	d.image, d.recording, d.records = newImage(start), true, nil
	return start
}

// position returns how many records there are.
func (d *disk) position() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.records)
}

// stop ends the recording.
func (d *disk) stop() []record {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.recording = false
	return d.records
}

func (d *disk) read(b []byte, offset int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.image.read(b, offset)
}

func (d *disk) write(b []byte, offset int64) {
	b = bytes.Clone(b)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.recording {
		d.records = append(d.records, record{offset, b})
	}
	d.image.write(b, offset)
}

func (d *disk) flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.recording {
		d.records = append(d.records, record{})
	}
}

// shelf is the root of the file system: one file per disk.
type shelf struct {
	fs.Inode
	disks []*disk
}

var _ fs.NodeOnAdder = (*shelf)(nil)

func diskName(i int) string { return fmt.Sprint("disk-", i) }

// OnAdd makes the files.
func (s *shelf) OnAdd(ctx context.Context) {
	for i, d := range s.disks {
		s.AddChild(diskName(i), s.NewPersistentInode(ctx, &diskFile{disk: d}, fs.StableAttr{Mode: syscall.S_IFREG}), false)
	}
}

// mountShelf mounts disks in dir.
func mountShelf(dir string, disks []*disk) (*fuse.Server, error) {
	server, err := fs.Mount(dir, &shelf{disks: disks}, &fs.Options{MountOptions: fuse.MountOptions{
		DirectMountStrict: true, // there need be no fusermount
		FsName:            "lintel-crash",
		Name:              "lintel-crash",
		MaxWrite:          512 << 10, // with a header it fits into a pipe
		DisableXAttrs:     true,
	}})
	if err != nil {
		return nil, fmt.Errorf("mount FUSE: %w", err)
	}
	return server, nil
}

// diskFile is the file of a disk.
type diskFile struct {
	fs.Inode
	disk *disk
}

var (
	_ fs.NodeOpener    = (*diskFile)(nil)
	_ fs.NodeGetattrer = (*diskFile)(nil)
	_ fs.NodeSetattrer = (*diskFile)(nil)
	_ fs.NodeReader    = (*diskFile)(nil)
	_ fs.NodeWriter    = (*diskFile)(nil)
	_ fs.NodeFsyncer   = (*diskFile)(nil)
	_ fs.NodeFlusher   = (*diskFile)(nil)
)

// Open lets the kernel cache nothing: the disk is changed behind its back.
func (f *diskFile) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (f *diskFile) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = syscall.S_IFREG | 0o600
	out.Size = diskSize
	out.Blksize = pageSize
	return 0
}

// Setattr changes nothing: the size is fixed and times do not matter.
func (f *diskFile) Setattr(ctx context.Context, h fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return f.Getattr(ctx, h, out)
}

func (f *diskFile) Read(_ context.Context, _ fs.FileHandle, b []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	b = b[:max(0, min(int64(len(b)), diskSize-offset))]
	f.disk.read(b, offset)
	return fuse.ReadResultData(b), 0
}

func (f *diskFile) Write(_ context.Context, _ fs.FileHandle, b []byte, offset int64) (uint32, syscall.Errno) {
	if offset+int64(len(b)) > diskSize {
		return 0, syscall.ENOSPC
	}
	f.disk.write(b, offset)
	return uint32(len(b)), 0
}

func (f *diskFile) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	f.disk.flush()
	return 0
}

func (f *diskFile) Flush(context.Context, fs.FileHandle) syscall.Errno { return 0 }
