package textlines

// Options say what the lines of a board mean. A person writes them as TOML, so the
// zero value of each stands for what is usual.
type Options struct {
	// Line is the setting of the serial line, as in "9600 7E1"; empty:
	// "115200 8N1".
	Line string `toml:"line"`

	// Format is how a line is written: "json" (the usual), "csv" for values in
	// columns, "keyvalue" for pairs.
	Format string `toml:"format"`
	// Separator stands between columns (usually ",") or between pairs (usually
	// " ", which is any number of spaces and tabs).
	Separator string `toml:"separator"`
	// Pair stands between a key and its value: "=" (the usual) or ":".
	Pair string `toml:"pair"`
	// Comment is the beginning of lines that say nothing.
	Comment string `toml:"comment"`
	// Header says that a line of csv names the columns.
	Header bool `toml:"header"`
	// Columns is how many a line of csv must have; 0: as many as the header, or at
	// least as many as are used.
	Columns int `toml:"columns"`
	// Checksum ends a line behind a "*", in hexadecimal: "none" (the usual), "xor",
	// "sum8" or "crc16".
	Checksum string `toml:"checksum"`

	Devices    []Device   `toml:"devices"` // empty: the board is the device
	Properties []Property `toml:"properties"`
}

// Device is a thing that lines speak of.
type Device struct {
	// ID tells the device from others, for ever. The device is known as
	// textlines_ID.
	ID string `toml:"id"`
	// IDFrom is where in a line the ID of the device is, for lines of one form that
	// speak of many sensors. Behind ID, if there is one too.
	IDFrom string `toml:"id_from"`

	Name   string `toml:"name"`
	Vendor string `toml:"vendor"`
	Model  string `toml:"model"`

	// Match says what must be in a line for it to speak of this device: a text for
	// each place. A line speaks of the first device that it matches.
	Match map[string]string `toml:"match"`

	// WhenUsed says that the board prints only when something happens, so that it
	// is not missed when it is silent.
	WhenUsed bool `toml:"when_used"`
}

// Property is one thing that a device knows or can do.
type Property struct {
	Key    string `toml:"key"`    // in topics and in the state: lower case letters, digits and _
	Name   string `toml:"name"`   // what a person reads; empty: made from Key
	Device string `toml:"device"` // ID of the one device that has it; empty: all have

	// From is where in a line the value is: a member of a JSON object, as a path
	// with dots (outside.temp, sensors.0.value) or a JSON pointer (/sensors/0/value,
	// RFC 6901); the number of a column, from 1 on, or its name in the header; or
	// the key of a pair.
	From string `toml:"from"`

	// Kind is one of serialbridge.Kind that is one thing; empty: "measurement". A
	// display takes a "text", and what an RFID reader has read is a "tag".
	Kind string `toml:"kind"`
	Unit string `toml:"unit"`
	// Class is the device class of Home Assistant, which decides on the unit.
	Class string `toml:"class"`
	// StateClass is "measurement", "total", "total_increasing",
	// "measurement_angle" or "none"; empty: what is usual for the class.
	StateClass string `toml:"state_class"`
	Category   string `toml:"category"`  // "diagnostic", "config" or empty
	Precision  *int   `toml:"precision"` // decimals worth showing

	Suffix string  `toml:"suffix"` // what may stand behind the number in the line: "C"
	Scale  float64 `toml:"scale"`  // by which the number in the line is multiplied; 0: by 1
	Offset float64 `toml:"offset"` // what is added then

	Options []string `toml:"options"` // the texts of a state, an event or a choice
	On      string   `toml:"on"`      // the text that is true; with Off
	Off     string   `toml:"off"`

	// Min and Max are what the value can be: the range of a setting, and what a
	// measurement must be within to be believed.
	Min  *float64 `toml:"min"`
	Max  *float64 `toml:"max"`
	Step float64  `toml:"step"` // of a setting

	// Command is what is written to the board: %s is the value, %i the ID that
	// IDFrom found, %% a percent sign.
	Command string `toml:"command"`
}
