package hardware

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// growStep is by how much a file system grows at once: a step is seconds on a slow card,
// and nothing can interrupt it.
const growStep = 2 << 30

// GrowDisk makes the partition that the folder dir is on, and its ext4, as large as
// the disk lets them be, and returns by how many bytes the file system has grown. The
// partition has to be the last one of the disk. All of it happens while the file system
// is in use. After a power cut at any moment, and after ctx has ended, the next call
// goes on from there.
func GrowDisk(ctx context.Context, dir string) (int64, error) {
	grown, err := growDisk(ctx, "/", dir)
	if err != nil {
		return grown, fmt.Errorf("hardware: grow the partition of %s: %w", dir, err)
	}
	return grown, nil
}

func growDisk(ctx context.Context, root, dir string) (int64, error) {
	partition, err := deviceOf(root, dir)
	if err != nil {
		return 0, err
	}
	disk := filepath.Dir(partition)
	read := func(name string) uint64 {
		n, perr := strconv.ParseUint(readString("", name), 10, 48)
		if perr != nil && err == nil {
			err = fmt.Errorf("%s is no number", name)
		}
		return n
	}
	number := read(filepath.Join(partition, "partition"))
	start, size := read(filepath.Join(partition, "start")), read(filepath.Join(partition, "size"))
	sectors := read(filepath.Join(disk, "size")) // of 512 bytes, whatever the disk has
	block := read(filepath.Join(disk, "queue/logical_block_size"))
	if err != nil {
		return 0, err
	}
	if block != sectorSize {
		return 0, fmt.Errorf("the disk has sectors of %d bytes", block)
	}
	f, err := os.OpenFile(filepath.Join(root, "dev", filepath.Base(disk)), os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	first, last, err := growTable(f, sectors, int(number))
	if err != nil {
		return 0, err
	}
	if first != start || last+1-first < size {
		return 0, fmt.Errorf("the kernel has partition %d elsewhere than the table", number)
	}
	if last+1-first > size {
		if err := tellPartition(f, resizePartition, int(number), first, last+1-first); err != nil {
			return 0, fmt.Errorf("tell the kernel of the partition: %w", err)
		}
	}
	return growExt4(ctx, filepath.Join(root, "dev", filepath.Base(partition)), dir, (last+1-first)*sectorSize)
}

// resizePartition is BLKPG_RESIZE_PARTITION of linux/blkpg.h.
const resizePartition = 3

// tellPartition tells the kernel of a partition, in sectors.
func tellPartition(disk *os.File, op int32, number int, first, sectors uint64) error {
	partition := struct {
		start, length int64
		number        int32
		_             [64 + 64]byte // names, which nobody reads
	}{start: int64(first) * sectorSize, length: int64(sectors) * sectorSize, number: int32(number)}
	argument := struct {
		op, flags, length int32
		data              unsafe.Pointer
	}{op: op, length: int32(unsafe.Sizeof(partition)), data: unsafe.Pointer(&partition)}
	return ioctl(disk, unix.BLKPG, unsafe.Pointer(&argument))
}

// growExt4 grows the ext4 on device, which is mounted and has the folder dir in it, to size
// bytes.
func growExt4(ctx context.Context, device, dir string, size uint64) (int64, error) {
	folder, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	defer folder.Close()
	block, before, err := ext4Blocks(device)
	if err != nil {
		return 0, err
	}
	want, now := size/block, before
	for now+16<<20/block <= want { // the kernel gives less back than it takes to describe it
		if err := ctx.Err(); err != nil {
			return int64((now - before) * block), err
		}
		step := min(want, now+growStep/block)
		const resizeFS = 0x40086610 // EXT4_IOC_RESIZE_FS, _IOW('f', 16, __u64) of linux/ext4.h
		if err := ioctl(folder, resizeFS, unsafe.Pointer(&step)); err != nil {
			return int64((now - before) * block), fmt.Errorf("grow the file system: %w", err)
		}
		_, grown, err := ext4Blocks(device)
		if err != nil {
			return int64((now - before) * block), err
		}
		if grown <= now { // the kernel gives up a last group that is too small
			break
		}
		now = grown
	}
	return int64((now - before) * block), nil
}

// ext4Blocks reads the size of a block and the number of blocks of an ext4.
func ext4Blocks(device string) (block, blocks uint64, err error) {
	f, err := os.Open(device)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	super := make([]byte, 1024)
	if _, err := f.ReadAt(super, 1024); err != nil {
		return 0, 0, err
	}
	le := binary.LittleEndian
	shift := le.Uint32(super[24:])
	if le.Uint16(super[56:]) != 0xef53 || shift > 6 {
		return 0, 0, errors.New("the file system is no ext4")
	}
	blocks = uint64(le.Uint32(super[4:]))
	if le.Uint32(super[0x60:])&0x80 != 0 { // INCOMPAT_64BIT
		blocks |= uint64(le.Uint32(super[0x150:])) << 32
	}
	return 1024 << shift, blocks, nil
}

func ioctl(f *os.File, request uintptr, argument unsafe.Pointer) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno unix.Errno
	if err := raw.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(argument))
	}); err != nil {
		return err
	}
	if errno != 0 {
		return errno
	}
	return nil
}
