package main

import (
	"context"
	"log/slog"

	"lintel/hardware"
)

// grow makes the data's partition as large as the card, beside everything else: at the
// first start only there is something to do.
func grow(ctx context.Context, data string, logger *slog.Logger) {
	grown, err := hardware.GrowDisk(ctx, data)
	if grown > 0 {
		logger.Info("the partition of the data has grown", "bytes", grown)
	}
	if err != nil && ctx.Err() == nil {
		logger.Warn("the partition of the data is smaller than the card", "err", err)
	}
}

// whereBootFiles returns where a person may have put files for the next start, besides
// the data folder.
func whereBootFiles(folder string, card bool, data string) func(func(string, func() error) error) error {
	switch {
	case folder != "":
		return func(use func(string, func() error) error) error {
			return use(folder, func() error { return nil })
		}
	case card:
		return func(use func(string, func() error) error) error { return hardware.BootFiles(data, use) }
	}
	return nil
}
