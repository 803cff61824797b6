package devices

// actuatorTraits are those of what can be commanded.
var actuatorTraits []*Trait
