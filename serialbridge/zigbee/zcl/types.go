package zcl

// Type is a data type (section 2.6.2, table 2-12).
type Type uint8

// The data types.
const (
	NoData      Type = 0x00
	Data8       Type = 0x08
	Data16      Type = 0x09
	Data24      Type = 0x0a
	Data32      Type = 0x0b
	Data40      Type = 0x0c
	Data48      Type = 0x0d
	Data56      Type = 0x0e
	Data64      Type = 0x0f
	Boolean     Type = 0x10
	Bitmap8     Type = 0x18
	Bitmap16    Type = 0x19
	Bitmap24    Type = 0x1a
	Bitmap32    Type = 0x1b
	Bitmap40    Type = 0x1c
	Bitmap48    Type = 0x1d
	Bitmap56    Type = 0x1e
	Bitmap64    Type = 0x1f
	Uint8       Type = 0x20
	Uint16      Type = 0x21
	Uint24      Type = 0x22
	Uint32      Type = 0x23
	Uint40      Type = 0x24
	Uint48      Type = 0x25
	Uint56      Type = 0x26
	Uint64      Type = 0x27
	Int8        Type = 0x28
	Int16       Type = 0x29
	Int24       Type = 0x2a
	Int32       Type = 0x2b
	Int40       Type = 0x2c
	Int48       Type = 0x2d
	Int56       Type = 0x2e
	Int64       Type = 0x2f
	Enum8       Type = 0x30
	Enum16      Type = 0x31
	Semi        Type = 0x38 // semi-precision float
	Single      Type = 0x39
	Double      Type = 0x3a
	OctetString Type = 0x41
	CharString  Type = 0x42
	LongOctets  Type = 0x43
	LongChars   Type = 0x44
	ArrayType   Type = 0x48
	StructType  Type = 0x4c
	SetType     Type = 0x50
	BagType     Type = 0x51
	TimeOfDay   Type = 0xe0
	Date        Type = 0xe1
	UTCTime     Type = 0xe2
	ClusterID   Type = 0xe8
	AttributeID Type = 0xe9
	BACnetOID   Type = 0xea
	IEEE        Type = 0xf0
	Key128      Type = 0xf1
	Unknown     Type = 0xff
)

// List is the value of an array, a set or a bag.
type List struct {
	Type  Type // of all elements
	Items []any
}

// Struct is the value of a structure.
type Struct []Field

// Field is a member of a structure.
type Field struct {
	Type  Type
	Value any
}

// Limits of values that hold others: deeper or longer ones are refused.
const maxDepth = 8

// size returns how many bytes a value of a fixed size takes.
func (t Type) size() (n int, fixed bool) {
	switch {
	case t == NoData || t == Unknown:
		return 0, true
	case t >= Data8 && t <= Data64:
		return int(t-Data8) + 1, true
	case t == Boolean || t == Enum8:
		return 1, true
	case t >= Bitmap8 && t <= Bitmap64:
		return int(t-Bitmap8) + 1, true
	case t >= Uint8 && t <= Uint64:
		return int(t-Uint8) + 1, true
	case t >= Int8 && t <= Int64:
		return int(t-Int8) + 1, true
	case t == Enum16 || t == Semi || t == ClusterID || t == AttributeID:
		return 2, true
	case t == Single || t == TimeOfDay || t == Date || t == UTCTime || t == BACnetOID:
		return 4, true
	case t == Double || t == IEEE:
		return 8, true
	case t == Key128:
		return 16, true
	}
	return 0, false
}

// signed says that values of the type are of two's complement.
func (t Type) signed() bool { return t >= Int8 && t <= Int64 }

// Analog says that a value of the type is a quantity, so that a report of it
// may be set to depend on how far it has moved (section 2.6.2, "A/D").
func (t Type) Analog() bool {
	return t >= Uint8 && t <= Int64 || t == Semi || t == Single || t == Double || t == TimeOfDay || t == Date || t == UTCTime
}
