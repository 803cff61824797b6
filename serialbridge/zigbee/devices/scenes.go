package devices

import "lintel/serialbridge/zigbee"

// SceneChange is what a command does to the scenes of an endpoint.
type SceneChange struct {
	Kind SceneKind
	// Scene is what it is about; with SceneStored its State is nil: it is what
	// the device is like.
	Scene zigbee.Scene
}

// SceneKind is what becomes of a scene.
type SceneKind uint8

// The kinds.
const (
	SceneStored     SceneKind = iota + 1 // it is what the device is like now
	SceneAdded                           // it is what Scene.State says
	SceneRenamed                         // only its name changes
	SceneRemoved                         // and forgotten
	SceneAllRemoved                      // all of the endpoint
	SceneRecalled                        // the state of the device, or of each member, is that of the scene
)
