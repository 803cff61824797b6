package devices

// sensorTraits are those of what measures by the standard.
var sensorTraits []*Trait
