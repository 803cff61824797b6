package main

// onLinux are the commands that need what only builds on Linux: the drivers of the sticks
// stand on its serial ports, and the bench reads /proc.
func onLinux() []command {
	return []command{
		decodeCommand(),
		zigbeeDecodeCommand(),
		zigbeeDiscoveryCommand(),
		replayCommand(),
		simulateCommand(),
		benchCommand(),
	}
}
