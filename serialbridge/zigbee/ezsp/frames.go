package ezsp

import "fmt"

// frameID names a command or a callback (UG100).
type frameID uint16

// The commands and callbacks that are used here.
const (
	cmdVersion                 frameID = 0x0000
	cmdAddEndpoint             frameID = 0x0002
	cmdSetConcentrator         frameID = 0x0010
	cmdSetManufacturerCode     frameID = 0x0015
	cmdNetworkInit             frameID = 0x0017
	cbStackStatus              frameID = 0x0019
	cmdStartScan               frameID = 0x001a
	cbScanComplete             frameID = 0x001c
	cmdFormNetwork             frameID = 0x001e
	cmdLeaveNetwork            frameID = 0x0020
	cmdPermitJoining           frameID = 0x0022
	cbTrustCenterJoin          frameID = 0x0024
	cmdGetEUI64                frameID = 0x0026
	cmdGetNetworkParameters    frameID = 0x0028
	cmdSendUnicast             frameID = 0x0034
	cmdSendBroadcast           frameID = 0x0036
	cmdSendMulticast           frameID = 0x0038
	cbMessageSent              frameID = 0x003f
	cbIncomingMessage          frameID = 0x0045
	cbEnergyScanResult         frameID = 0x0048
	cmdGetConfigurationValue   frameID = 0x0052
	cmdSetConfigurationValue   frameID = 0x0053
	cmdSetPolicy               frameID = 0x0055
	cbInvalidCommand           frameID = 0x0058
	cbIncomingRouteRecord      frameID = 0x0059
	cmdSetSourceRouteDiscovery frameID = 0x005a
	cmdSetMulticastTableEntry  frameID = 0x0064
	cmdSetInitialSecurityState frameID = 0x0068
	cmdClearTransientLinkKeys  frameID = 0x006b
	cbIncomingManyToOneRoute   frameID = 0x007d
	cbIncomingRouteError       frameID = 0x0080
	cmdSetRadioChannel         frameID = 0x009a
	cmdGetValue                frameID = 0x00aa
	cmdSetValue                frameID = 0x00ab
	cmdClearKeyTable           frameID = 0x00b1
	cbIncomingNetworkStatus    frameID = 0x00c4
	cbIncomingGreenPower       frameID = 0x00c5
	cmdGetTokenData            frameID = 0x0102
	cmdSetTokenData            frameID = 0x0103
	cmdImportLinkKey           frameID = 0x010e
	cmdExportLinkKeyByIndex    frameID = 0x010f
	cmdImportTransientKey      frameID = 0x0111
	cmdExportKey               frameID = 0x0114
	cmdGetNetworkKeyInfo       frameID = 0x0116
)

// The frame control (UG100, section 3.2).
const (
	controlResponse  = 0x80
	controlOverflow  = 0x01 // callbacks were lost for want of memory
	controlTruncated = 0x02
	controlCallback  = 0x18 // either kind
	formatMask       = 0x03 // of the high byte
	formatExtended   = 0x01
)

// frame is an EZSP frame from the stick.
type frame struct {
	sequence uint8
	control  uint8
	id       frameID
	params   []byte
}

// parseFrame reads a frame of either format. The first answer, to version, is in the
// legacy one.
func parseFrame(b []byte, legacy bool) (frame, bool) {
	if legacy {
		if len(b) < 3 {
			return frame{}, false
		}
		return frame{sequence: b[0], control: b[1], id: frameID(b[2]), params: b[3:]}, b[1]&controlResponse != 0
	}
	if len(b) < 5 || b[2]&formatMask != formatExtended || b[1]&controlResponse == 0 {
		return frame{}, false
	}
	return frame{sequence: b[0], control: b[1], id: frameID(b[3]) | frameID(b[4])<<8, params: b[5:]}, true
}

// appendCommand appends a command to dst.
func appendCommand(dst []byte, sequence uint8, id frameID, params []byte, legacy bool) []byte {
	if legacy {
		dst = append(dst, sequence, 0, byte(id))
	} else {
		dst = append(dst, sequence, 0, formatExtended, byte(id), byte(id>>8))
	}
	return append(dst, params...)
}

// invalidCommand is what the stick says to a command that it does not take.
type invalidCommand struct {
	id     frameID
	reason uint8
}

func (e *invalidCommand) Error() string {
	reason := fmt.Sprintf("reason 0x%02x", e.reason)
	switch e.reason {
	case 0x30:
		reason = "the version is not set"
	case 0x31:
		reason = "it does not know it"
	case 0x35:
		reason = "out of memory"
	case 0x38:
		reason = "not possible now"
	case 0x41:
		reason = "its queue is full"
	}
	return fmt.Sprintf("ezsp: the stick refuses command 0x%04x: %s", uint16(e.id), reason)
}
