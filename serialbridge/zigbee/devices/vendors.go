package devices

// vendorTraits are those of clusters that vendors have made up.
var vendorTraits []*Trait
