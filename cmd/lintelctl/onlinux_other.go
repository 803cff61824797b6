//go:build !linux

package main

func onLinux() []command { return nil }
