package access

// ImportMosquitto reads a password file of mosquitto, which name is the name of. The
// error has a line for each mistake, as NAME:LINE: REASON.
func ImportMosquitto(name string, text []byte) ([]User, error) { return nil, nil }
