package access

// Content is what the payload of a message must be. All that is set must hold.
type Content struct {
	MaxSize int  // in bytes; 0: any
	JSON    bool // it is one JSON value
	Schema  *Schema
	Where   *Expression
}

// Schema is a JSON schema.
type Schema struct {
	name string
}

// Expression is a condition on a message.
type Expression struct {
	text string
}
