package dashboard

// Neighbour is another box, program or stick that makes itself known on the network.
// What it says of itself is a stranger's word.
type Neighbour struct {
	Kind  string `json:"kind"` // "Home Assistant", "Lintel", "MQTT broker" or "Zigbee coordinator"
	Name  string `json:"name"`
	Where string `json:"where"` // the URL at which it is by name, or HOST:PORT
	// Addresses are the IP addresses of the host, the best first.
	Addresses []string `json:"addresses"`
	// About is the rest in a few words, such as a version or the kind of radio.
	About string `json:"about,omitempty"`
	// Page reports whether Where is a page that a browser can open.
	Page bool `json:"page"`
}
