module gokrazy/build/lintel-vm-arm64

go 1.26.0

require (
	github.com/gokrazy/gokrazy v0.0.0-20260418085648-c38c3134b8a7
	github.com/gokrazy/kernel.arm64 v0.0.0-20260705071517-37841c4d6ff1
	lintel v0.0.0-00010101000000-000000000000
)

replace lintel => ../../..
