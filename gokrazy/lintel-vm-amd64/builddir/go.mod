module gokrazy/build/lintel-vm-amd64

go 1.26.0

require (
	github.com/gokrazy/gokrazy v0.0.0-20260418085648-c38c3134b8a7
	github.com/gokrazy/kernel.amd64 v0.0.0-20260705070735-de680abf072b
	lintel v0.0.0-00010101000000-000000000000
)

replace lintel => ../../..
