//go:build !linux

package persist

import "errors"

// exchange swaps the names of two folders in one step, where that can be done.
func exchange(string, string) error { return errors.ErrUnsupported }
