//go:build race

package simulator

// raceDetector says that all takes some ten times as long.
const raceDetector = true
