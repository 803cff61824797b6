package zigbee

// Backup is a network as the open coordinator backup format, version 1, holds
// it (github.com/zigpy/open-coordinator-backup).
type Backup struct {
	Parameters
	Coordinator     IEEEAddress
	SecurityLevel   uint8
	FrameCounter    uint32
	ChannelMask     uint32
	Devices         []BackupDevice
	TCLinkKeyHashed [16]byte // EZSP: stack_specific.ezsp.hashed_tclk
	TCLinkKeySeed   [16]byte // ZNP: stack_specific.zstack.tclk_seed
}

// BackupDevice is a device as the backup knows it.
type BackupDevice struct {
	IEEEAddress    IEEEAddress
	NetworkAddress NetworkAddress // UnknownAddress: not known
	IsChild        bool
	LinkKey        *LinkKey // nil: that which all have
}

// LinkKey is the trust center link key of one device.
type LinkKey struct {
	Key       [16]byte
	RxCounter uint32
	TxCounter uint32
}
