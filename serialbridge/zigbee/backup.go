package zigbee

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
)

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

	// What the metadata say. The date is set by Network.Backup; the versions are what
	// zigbee-herdsman looks for before it restores, and 0 if it is of the other family.
	Date        time.Time
	ZNPVersion  uint8 // 0: 1.2, 1: 3.x.0, 2: 3.0.x
	EZSPVersion uint8
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

const (
	backupFormat  = "zigpy/open-coordinator-backup"
	backupSource  = "lintel"
	maxBackupSize = 4 << 20
)

// The format, in the order in which zigbee-herdsman writes it.
type (
	backupText struct {
		Metadata struct {
			Format   string `json:"format"`
			Version  int    `json:"version"`
			Source   string `json:"source"`
			Internal struct {
				Date        string `json:"date,omitempty"`
				ZNPVersion  *uint8 `json:"znpVersion,omitempty"`
				EZSPVersion *uint8 `json:"ezspVersion,omitempty"`
			} `json:"internal"`
		} `json:"metadata"`
		StackSpecific struct {
			ZStack *backupZStack `json:"zstack,omitempty"`
			EZSP   *backupEZSP   `json:"ezsp,omitempty"`
		} `json:"stack_specific"`
		CoordinatorIEEE string `json:"coordinator_ieee"`
		PANID           string `json:"pan_id"`
		ExtendedPANID   string `json:"extended_pan_id"`
		UpdateID        uint8  `json:"nwk_update_id"`
		SecurityLevel   uint8  `json:"security_level"`
		Channel         uint8  `json:"channel"`
		ChannelMask     []int  `json:"channel_mask"`
		NetworkKey      struct {
			Key          string `json:"key"`
			Sequence     uint8  `json:"sequence_number"`
			FrameCounter uint32 `json:"frame_counter"`
		} `json:"network_key"`
		Devices []backupDeviceText `json:"devices"`
	}
	backupZStack struct {
		Seed string `json:"tclk_seed,omitempty"`
	}
	backupEZSP struct {
		Hashed string `json:"hashed_tclk,omitempty"`
	}
	backupDeviceText struct {
		NetworkAddress *string        `json:"nwk_address"`
		IEEEAddress    string         `json:"ieee_address"`
		IsChild        *bool          `json:"is_child,omitempty"`
		LinkKey        *backupKeyText `json:"link_key,omitempty"`
	}
	backupKeyText struct {
		Key       string `json:"key"`
		RxCounter uint32 `json:"rx_counter"`
		TxCounter uint32 `json:"tx_counter"`
	}
)

// MarshalJSON writes the backup in its format.
func (b *Backup) MarshalJSON() ([]byte, error) {
	var t backupText
	t.Metadata.Format, t.Metadata.Version, t.Metadata.Source = backupFormat, 1, backupSource
	if !b.Date.IsZero() {
		t.Metadata.Internal.Date = b.Date.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	if b.TCLinkKeySeed != [16]byte{} {
		version := b.ZNPVersion
		t.Metadata.Internal.ZNPVersion = &version
		t.StackSpecific.ZStack = &backupZStack{hex.EncodeToString(b.TCLinkKeySeed[:])}
	}
	if b.TCLinkKeyHashed != [16]byte{} {
		version := b.EZSPVersion
		t.Metadata.Internal.EZSPVersion = &version
		t.StackSpecific.EZSP = &backupEZSP{hex.EncodeToString(b.TCLinkKeyHashed[:])}
	}
	t.CoordinatorIEEE = bareIEEE(b.Coordinator)
	t.PANID = fmt.Sprintf("%04x", b.PANID)
	t.ExtendedPANID = hex.EncodeToString(b.ExtendedPANID[:])
	t.UpdateID, t.SecurityLevel, t.Channel = b.UpdateID, b.SecurityLevel, b.Channel
	t.ChannelMask = []int{}
	for channel := 11; channel <= 26; channel++ {
		if b.ChannelMask>>channel&1 != 0 {
			t.ChannelMask = append(t.ChannelMask, channel)
		}
	}
	t.NetworkKey.Key = hex.EncodeToString(b.NetworkKey[:])
	t.NetworkKey.Sequence, t.NetworkKey.FrameCounter = b.KeySequence, b.FrameCounter
	t.Devices = []backupDeviceText{}
	for _, d := range b.Devices {
		child := d.IsChild
		text := backupDeviceText{IEEEAddress: bareIEEE(d.IEEEAddress), IsChild: &child}
		if d.NetworkAddress != UnknownAddress {
			address := fmt.Sprintf("%04x", uint16(d.NetworkAddress))
			text.NetworkAddress = &address
		}
		if k := d.LinkKey; k != nil {
			text.LinkKey = &backupKeyText{hex.EncodeToString(k.Key[:]), k.RxCounter, k.TxCounter}
		}
		t.Devices = append(t.Devices, text)
	}
	return json.MarshalIndent(t, "", "  ")
}

func bareIEEE(a IEEEAddress) string { return fmt.Sprintf("%016x", uint64(a)) }

// UnmarshalJSON reads a backup of any maker. What does not make a network is refused.
func (b *Backup) UnmarshalJSON(data []byte) error {
	var t backupText
	if len(data) > maxBackupSize {
		return errors.New("zigbee: this is too much for a backup of a coordinator")
	}
	if err := json.Unmarshal(data, &t); err != nil {
		return fmt.Errorf("zigbee: this is no backup of a coordinator: %w", err)
	}
	if t.Metadata.Format != backupFormat {
		return fmt.Errorf("zigbee: this is no backup of a coordinator: its format is %.40q, right is %q", t.Metadata.Format, backupFormat)
	}
	if t.Metadata.Version != 1 {
		return fmt.Errorf("zigbee: the backup is of version %d; only version 1 is known", t.Metadata.Version)
	}
	r := backupReader{}
	n := Backup{SecurityLevel: t.SecurityLevel, FrameCounter: t.NetworkKey.FrameCounter}
	n.Coordinator = r.ieee("coordinator_ieee", t.CoordinatorIEEE)
	n.PANID = uint16(r.number("pan_id", t.PANID))
	r.bytes("extended_pan_id", t.ExtendedPANID, n.ExtendedPANID[:])
	n.Channel, n.UpdateID, n.KeySequence = t.Channel, t.UpdateID, t.NetworkKey.Sequence
	r.bytes("network_key", t.NetworkKey.Key, n.NetworkKey[:])
	for _, channel := range t.ChannelMask {
		if channel >= 11 && channel <= 26 {
			n.ChannelMask |= 1 << channel
		}
	}
	n.Date, _ = time.Parse(time.RFC3339, t.Metadata.Internal.Date) // for people, and for counters that go up
	if s := t.StackSpecific.ZStack; s != nil && s.Seed != "" {
		r.bytes("tclk_seed", s.Seed, n.TCLinkKeySeed[:])
	}
	if s := t.StackSpecific.EZSP; s != nil && s.Hashed != "" {
		r.bytes("hashed_tclk", s.Hashed, n.TCLinkKeyHashed[:])
	}
	if v := t.Metadata.Internal.ZNPVersion; v != nil {
		n.ZNPVersion = *v
	}
	if v := t.Metadata.Internal.EZSPVersion; v != nil {
		n.EZSPVersion = *v
		// The driver of zigbee-herdsman for EZSP writes the address of the coordinator
		// backwards, and the extended PAN identifier as it is on the line to the stick,
		// which is backwards too (emberAdapter, up to 10.9.2 at least).
		if strings.HasPrefix(t.Metadata.Source, "zigbee-herdsman") {
			n.Coordinator = IEEEAddress(bits.ReverseBytes64(uint64(n.Coordinator)))
			slices.Reverse(n.ExtendedPANID[:])
		}
	}
	for _, d := range t.Devices {
		device := BackupDevice{IEEEAddress: r.ieee("ieee_address", d.IEEEAddress), NetworkAddress: UnknownAddress}
		device.IsChild = d.IsChild == nil || *d.IsChild
		if d.NetworkAddress != nil {
			device.NetworkAddress = NetworkAddress(r.number("nwk_address", *d.NetworkAddress))
		}
		if k := d.LinkKey; k != nil {
			device.LinkKey = &LinkKey{RxCounter: k.RxCounter, TxCounter: k.TxCounter}
			r.bytes("link_key", k.Key, device.LinkKey.Key[:])
		}
		n.Devices = append(n.Devices, device)
	}
	switch {
	case r.err != nil:
		return r.err
	case n.Channel < 11 || n.Channel > 26:
		return fmt.Errorf("zigbee: the backup names channel %d; right is 11 to 26", n.Channel)
	case n.NetworkKey == [16]byte{} || n.ExtendedPANID == [8]byte{}:
		return errors.New("zigbee: the backup holds no network: its key or its extended PAN identifier is zero")
	}
	*b = n
	return nil
}

// backupReader reads the texts of a backup, up to the first that is wrong.
type backupReader struct{ err error }

func (r *backupReader) wrong(name, text string) {
	if r.err == nil {
		r.err = fmt.Errorf("zigbee: %s of the backup is %.40q, which cannot be", name, text)
	}
}

func (r *backupReader) bytes(name, text string, into []byte) {
	data, err := hex.DecodeString(text)
	if err != nil || len(data) != len(into) {
		r.wrong(name, text)
		return
	}
	copy(into, data)
}

func (r *backupReader) ieee(name, text string) IEEEAddress {
	var b [8]byte
	r.bytes(name, text, b[:])
	var a IEEEAddress
	for _, x := range b {
		a = a<<8 | IEEEAddress(x)
	}
	return a
}

func (r *backupReader) number(name, text string) uint64 {
	v, err := strconv.ParseUint(text, 16, 16)
	if err != nil {
		r.wrong(name, text)
	}
	return v
}

// Counters of a restored network go up by so much, since devices believe nothing that
// has a counter which they have seen already: by what a stick has sent since the
// backup, for which ten frames a second are a lot, and a reserve.
const (
	counterReserve = 2500
	framesASecond  = 10
	counterMonths  = 92 * 24 * time.Hour // older backups are as good as lost anyway
)

// later returns the backup as it is to be restored at that time.
func (b *Backup) later(now time.Time) *Backup {
	later := *b
	up := uint32(counterReserve)
	if !b.Date.IsZero() {
		up += uint32(min(max(now.Sub(b.Date), 0), counterMonths)/time.Second) * framesASecond
	}
	later.FrameCounter = addCounter(b.FrameCounter, up)
	later.Devices = slices.Clone(b.Devices)
	for i, d := range later.Devices {
		if d.LinkKey != nil {
			key := *d.LinkKey
			key.TxCounter = addCounter(key.TxCounter, counterReserve)
			later.Devices[i].LinkKey = &key
		}
	}
	return &later
}

// addCounter adds to a counter that must not start again from zero.
func addCounter(counter, up uint32) uint32 {
	if counter > 0xffffffff-up {
		return 0xffffffff
	}
	return counter + up
}
