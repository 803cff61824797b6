package devices

// reset puts a device back to how it left the factory (Basic cluster, section
// 3.2.2.3.1), without its leaving the network.
var reset = &Trait{
	Name: "reset", Keys: []string{"reset"},
	Set: func(c *Context, _ string, _ any) (Result, error) {
		return sends(command(c, clusterBasic, 0x00, nil), nil), nil
	},
}
