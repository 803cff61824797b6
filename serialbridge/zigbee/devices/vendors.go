package devices

import "slices"

// vendorTraits are those of clusters that vendors have made up.
var vendorTraits = slices.Concat(lumiTraits, hueTraits, ikeaTraits, tuyaRemoteTraits)
