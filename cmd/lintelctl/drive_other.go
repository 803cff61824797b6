//go:build !linux && !darwin && !windows

package main

import (
	"errors"
	"os"
)

var errNoDrives = errors.New("lintelctl does not know the disks of this system: write the image with another program")

func listDrives() ([]drive, error) { return nil, errNoDrives }

func openDrive(*drive) (*os.File, error) { return nil, errNoDrives }

func forgetDrive(*os.File) error { return nil }

func endDrive(*os.File) {}
