package zigbee

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

const (
	// readAtOnce is how many attributes one request reads. Their answer fits
	// into a frame, but for long texts; devices then answer less than was asked for,
	// and the rest is read by another request.
	readAtOnce = 16
	// maxPayload is how long what is written at once may be, so that the frame is
	// not taken apart on its way, which many devices do not understand.
	maxPayload = 60
)

var errAnswer = errors.New("zigbee: the device has answered something else than what it was asked")

// Read reads attributes: as many requests as it takes. The manufacturer code is 0
// for those of the standard. Those that the device refuses are returned with their
// status; what was read is kept in Endpoint.Attributes too.
func (n *Network) Read(ctx context.Context, ieee IEEEAddress, endpoint uint8, cluster, manufacturer uint16, attributes ...uint16) ([]zcl.Attribute, error) {
	return n.read(ctx, ieee, 0, endpoint, cluster, manufacturer, attributes...)
}

func (n *Network) read(ctx context.Context, ieee IEEEAddress, hold time.Duration, endpoint uint8, cluster, manufacturer uint16, attributes ...uint16) ([]zcl.Attribute, error) {
	var read []zcl.Attribute
	for len(attributes) > 0 {
		chunk := attributes[:min(len(attributes), readAtOnce)]
		f, err := n.Request(ctx, ieee, Request{Endpoint: endpoint, Cluster: cluster, Hold: hold, Frame: zcl.Frame{
			DisableDefaultResponse: true, ManufacturerCode: manufacturer,
			Command: zcl.ReadAttributes, Payload: zcl.AppendIDs(nil, chunk...),
		}})
		if err != nil {
			return read, err
		}
		if f.Command != zcl.ReadAttributesResponse {
			return read, errAnswer
		}
		got, err := zcl.ParseAttributes(f.Command, f.Payload)
		read = append(read, got...)
		before := len(attributes)
		attributes = slices.DeleteFunc(slices.Clone(attributes), func(id uint16) bool {
			return slices.ContainsFunc(got, func(a zcl.Attribute) bool { return a.ID == id })
		})
		if len(attributes) == before { // nothing of what was asked for
			if err == nil {
				err = errAnswer
			}
			return read, err
		}
	}
	return read, nil
}

// Write writes attributes. It fails with a *StatusError if the device refuses one.
func (n *Network) Write(ctx context.Context, ieee IEEEAddress, endpoint uint8, cluster, manufacturer uint16, attributes ...zcl.Attribute) error {
	var payload []byte
	flush := func() error {
		f, err := n.Request(ctx, ieee, Request{Endpoint: endpoint, Cluster: cluster, Frame: zcl.Frame{
			DisableDefaultResponse: true, ManufacturerCode: manufacturer,
			Command: zcl.WriteAttributes, Payload: payload,
		}})
		payload = nil
		if err != nil {
			return err
		}
		return statuses(f, zcl.WriteAttributesResponse, 3)
	}
	for _, a := range attributes {
		record, err := zcl.AppendAttributes(nil, zcl.WriteAttributes, []zcl.Attribute{a})
		if err != nil {
			return err
		}
		if len(payload) > 0 && len(payload)+len(record) > maxPayload {
			if err := flush(); err != nil {
				return err
			}
		}
		payload = append(payload, record...)
	}
	if len(payload) == 0 {
		return nil
	}
	return flush()
}

// statuses reads an answer that is one status of success, or records that begin with
// one (sections 2.5.5 and 2.5.8). It returns the first that is none.
func statuses(f zcl.Frame, command uint8, size int) error {
	switch {
	case f.Command == zcl.DefaultResponse && f.Type == zcl.Global: // of success, or it were an error already
		return nil
	case f.Command != command || len(f.Payload) == 0:
		return errAnswer
	}
	for p := f.Payload; len(p) > 0; p = p[min(len(p), size):] {
		if s := zcl.Status(p[0]); s != zcl.Success {
			return &StatusError{s}
		}
	}
	return nil
}

// noReporting, as the longest time, ends reporting (section 2.5.7.1.6).
const noReporting = 0xffff * time.Second

// ConfigureReporting tells an endpoint what to report and takes note of it. A Max of
// 0xffff seconds tells it not to report any more. It fails with a *StatusError if
// the device refuses one; the others are set.
func (n *Network) ConfigureReporting(ctx context.Context, ieee IEEEAddress, endpoint uint8, reportings ...Reporting) error {
	var refused error
	for len(reportings) > 0 {
		// Those of a cluster and a manufacturer go together.
		first := reportings[0]
		var together, rest []Reporting
		var payload []byte
		for _, r := range reportings {
			record, err := reportingRecord(r)
			if err != nil {
				return err
			}
			if r.Cluster != first.Cluster || r.ManufacturerCode != first.ManufacturerCode || len(payload)+len(record) > maxPayload {
				rest = append(rest, r)
				continue
			}
			together, payload = append(together, r), append(payload, record...)
		}
		reportings = rest
		f, err := n.Request(ctx, ieee, Request{Endpoint: endpoint, Cluster: first.Cluster, Frame: zcl.Frame{
			DisableDefaultResponse: true, ManufacturerCode: first.ManufacturerCode,
			Command: zcl.ConfigureReporting, Payload: payload,
		}})
		if err == nil {
			err = statuses(f, zcl.ConfigureReportingResponse, 4)
		}
		if _, ok := errors.AsType[*StatusError](err); err != nil && !ok {
			return err
		}
		if err != nil {
			refused = err
			together = slices.DeleteFunc(together, func(r Reporting) bool { return refuses(f, r) })
		}
		if err := n.noteReportings(ieee, endpoint, together); err != nil {
			return err
		}
	}
	return refused
}

// refuses says whether the answer to ConfigureReporting refuses this one: those that
// it does not name are accepted, a refusal without records is of all.
func refuses(f zcl.Frame, r Reporting) bool {
	if f.Command != zcl.ConfigureReportingResponse || len(f.Payload) < 4 {
		return true
	}
	for p := f.Payload; len(p) >= 4; p = p[4:] {
		if p[0] != byte(zcl.Success) && binary.LittleEndian.Uint16(p[2:]) == r.Attribute {
			return true
		}
	}
	return false
}

func reportingRecord(r Reporting) ([]byte, error) {
	if r.Min < 0 || r.Max < 0 || r.Max > noReporting || r.Min > noReporting {
		return nil, fmt.Errorf("zigbee: reports every %s to %s cannot be told; right is 0 to 65534 s", r.Min, r.Max)
	}
	t := zcl.Type(r.Type)
	data := binary.LittleEndian.AppendUint16([]byte{0}, r.Attribute)
	data = append(data, r.Type)
	data = binary.LittleEndian.AppendUint16(data, uint16(r.Min/time.Second))
	data = binary.LittleEndian.AppendUint16(data, uint16(r.Max/time.Second))
	if !t.Analog() {
		return data, nil
	}
	var change any = r.Change
	if t != zcl.Semi && t != zcl.Single && t != zcl.Double {
		change = int64(r.Change)
	}
	return zcl.AppendValue(data, t, change)
}

// noteReportings takes note of what a device was told to report.
func (n *Network) noteReportings(ieee IEEEAddress, endpoint uint8, set []Reporting) error {
	if len(set) == 0 {
		return nil
	}
	return n.change(ieee, func(d *node) error {
		e := d.edit(endpoint)
		if e == nil {
			return noEndpoint(endpoint)
		}
		e.Reportings = slices.Clone(e.Reportings)
		for _, r := range set {
			e.Reportings = slices.DeleteFunc(e.Reportings, func(o Reporting) bool {
				return o.Cluster == r.Cluster && o.Attribute == r.Attribute && o.ManufacturerCode == r.ManufacturerCode
			})
			if r.Max != noReporting {
				e.Reportings = append(e.Reportings, r)
			}
		}
		return nil
	})
}

// ReportingRecord is what a device says that it reports.
type ReportingRecord struct {
	Status    zcl.Status
	Direction uint8
	Attribute uint16
	Type      uint8 // the rest is only of Success and direction 0
	Min, Max  time.Duration
	Change    any           // of an analog attribute, as zcl.ReadValue has it; else nil
	Timeout   time.Duration // of direction 1
}

// ReadReporting asks an endpoint what it reports.
func (n *Network) ReadReporting(ctx context.Context, ieee IEEEAddress, endpoint uint8, cluster, manufacturer uint16, attributes ...uint16) ([]ReportingRecord, error) {
	var records []ReportingRecord
	for chunk := range slices.Chunk(attributes, readAtOnce) {
		var payload []byte
		for _, id := range chunk {
			payload = binary.LittleEndian.AppendUint16(append(payload, 0), id)
		}
		f, err := n.Request(ctx, ieee, Request{Endpoint: endpoint, Cluster: cluster, Frame: zcl.Frame{
			DisableDefaultResponse: true, ManufacturerCode: manufacturer,
			Command: zcl.ReadReportingConfiguration, Payload: payload,
		}})
		if err != nil {
			return records, err
		}
		if f.Command != zcl.ReadReportingConfigurationResponse {
			return records, errAnswer
		}
		got, err := parseReportingRecords(f.Payload)
		records = append(records, got...)
		if err != nil {
			return records, err
		}
	}
	return records, nil
}

// parseReportingRecords reads the payload of a Read Reporting Configuration Response
// (section 2.5.10).
func parseReportingRecords(p []byte) ([]ReportingRecord, error) {
	var records []ReportingRecord
	for len(p) > 0 {
		if len(p) < 4 {
			return records, zcl.ErrShort
		}
		r := ReportingRecord{Status: zcl.Status(p[0]), Direction: p[1], Attribute: binary.LittleEndian.Uint16(p[2:])}
		p = p[4:]
		switch {
		case r.Status != zcl.Success:
		case r.Direction != 0:
			if len(p) < 2 {
				return records, zcl.ErrShort
			}
			r.Timeout = time.Duration(binary.LittleEndian.Uint16(p)) * time.Second
			p = p[2:]
		default:
			if len(p) < 5 {
				return records, zcl.ErrShort
			}
			r.Type = p[0]
			r.Min = time.Duration(binary.LittleEndian.Uint16(p[1:])) * time.Second
			r.Max = time.Duration(binary.LittleEndian.Uint16(p[3:])) * time.Second
			p = p[5:]
			if t := zcl.Type(r.Type); t.Analog() {
				var err error
				if r.Change, p, err = zcl.ReadValue(t, p); err != nil {
					return records, err
				}
			}
		}
		records = append(records, r)
	}
	return records, nil
}
