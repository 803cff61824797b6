package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

const sector = 512

// Partitions as gok lays them out, counted from zero.
const (
	bootPartition = 0
	rootPartition = 1 // the first of two
	permPartition = 3
)

// disk is an image with a partition table.
type disk struct {
	*os.File
	partitions [4]extent
}

// extent is where a partition is, in bytes.
type extent struct{ offset, size int64 }

func openDisk(name string) (*disk, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	d := &disk{File: f}
	table := make([]byte, 3*sector)
	if _, err := io.ReadFull(f, table); err != nil || !bytes.Equal(table[sector:sector+8], []byte("EFI PART")) {
		f.Close()
		return nil, fmt.Errorf("%s has no partition table", name)
	}
	for i := range d.partitions {
		e := table[2*sector+128*i:]
		first, last := binary.LittleEndian.Uint64(e[32:]), binary.LittleEndian.Uint64(e[40:])
		if first == 0 || last < first || last >= 1<<40 {
			f.Close()
			return nil, fmt.Errorf("%s has no partition %d", name, i+1)
		}
		d.partitions[i] = extent{int64(first) * sector, int64(last-first+1) * sector}
	}
	return d, nil
}

// extract copies the first bytes of a partition into a file.
func (d *disk) extract(p extent, size int64, name string) error {
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, io.NewSectionReader(d, p.offset, size)); err != nil {
		return err
	}
	return out.Close()
}

// copyTable writes an image of the same size whose partitions are empty.
func (d *disk) copyTable(name string) (*disk, error) {
	info, err := d.Stat()
	if err != nil {
		return nil, err
	}
	const head, tail = 34 * sector, 33 * sector // both copies of the table, and what boots
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	for _, e := range []extent{{0, head}, {info.Size() - tail, tail}} {
		part := make([]byte, e.size)
		if _, err = d.ReadAt(part, e.offset); err == nil {
			_, err = f.WriteAt(part, e.offset)
		}
		if err != nil {
			f.Close()
			return nil, err
		}
	}
	return &disk{File: f, partitions: d.partitions}, nil
}

// fill writes a file into an empty partition. Blocks of zeros stay holes of the image.
func (d *disk) fill(p extent, name string) error {
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	if info, err := in.Stat(); err != nil {
		return err
	} else if info.Size() > p.size {
		return fmt.Errorf("%s are too many for a partition of %s", mebibytes(info.Size()), mebibytes(p.size))
	}
	var zeros, block [64 << 10]byte
	for offset := p.offset; ; offset += int64(len(block)) {
		n, err := io.ReadFull(in, block[:])
		if n > 0 && !bytes.Equal(block[:n], zeros[:n]) {
			if _, err := d.WriteAt(block[:n], offset); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}
