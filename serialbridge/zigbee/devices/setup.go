package devices

import (
	"slices"
	"time"

	"lintel/serialbridge/zigbee"
)

// maxInterval is the longest time between two reports that zigbee2mqtt asks for.
const maxInterval = 65000 * time.Second

// report binds a cluster, has attributes of it reported, and reads what they are now:
// four in a message, more do not fit with some stacks.
func report(endpoint uint8, cluster uint16, reports ...zigbee.Reporting) []Step {
	steps := []Step{{Endpoint: endpoint, Bind: []uint16{cluster}}}
	var reads []Step
	for chunk := range slices.Chunk(reports, 4) {
		var ids []uint16
		for i := range chunk {
			chunk[i].Cluster = cluster
			ids = append(ids, chunk[i].Attribute)
		}
		steps = append(steps, Step{Endpoint: endpoint, Report: chunk})
		reads = append(reads, readStep(endpoint, cluster, ids...))
	}
	return append(steps, reads...)
}

// readStep reads attributes of the standard, so that they are known at once. A device that
// does not answer is no reason to give up.
func readStep(endpoint uint8, cluster uint16, ids ...uint16) Step {
	request := readRequest(endpoint, cluster, 0, ids...)
	return Step{Endpoint: endpoint, Request: &request, Optional: true}
}

// optional lets a device refuse the steps.
func optional(steps []Step) []Step {
	for i := range steps {
		steps[i].Optional = true
	}
	return steps
}
