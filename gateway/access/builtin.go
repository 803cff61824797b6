package access

// BuiltIn returns the roles that are there without a file: admin, homeassistant,
// device and viewer. prefix is that of Home Assistant's discovery topics; [NewPolicy]
// adds them with "homeassistant" unless roles of these names are given to it.
func BuiltIn(prefix string) []Role {
	return nil
}
