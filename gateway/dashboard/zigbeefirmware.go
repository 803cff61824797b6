package dashboard

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"lintel/gateway/access"
	"lintel/serialbridge/zigbee/z2m"
)

// maxFirmware bounds an image in bytes, with what is around it in a form.
const maxFirmware = 8<<20 + 64<<10

// firmwareView is the page of the devices' firmware.
type firmwareView struct {
	Frame           frame
	Devices         []firmwareRow
	Paging          paging
	Images          []Firmware
	Acts            actsView
	Operator, Admin bool
}

// firmwareRow is a device as a person reads it.
type firmwareRow struct {
	z2m.Firmwares
	From, To        string // versions
	Left            string // until the update is done
	Percent         int
	Busy            bool
	Operator, Admin bool
	Back            string
}

// Firmware is an image that was uploaded, or put into the folder of images.
type Firmware struct {
	Name         string `json:"name"`
	Text         string `json:"text,omitempty"` // what its maker calls it
	Bytes        int    `json:"bytes"`
	Version      uint32 `json:"file_version"`
	Manufacturer uint16 `json:"manufacturer_code"`
	ImageType    uint16 `json:"image_type"`
}

func (s *Server) firmwarePageView(r *request) (any, error) {
	v := &firmwareView{Frame: s.frame(r, r.t("Firmware of Zigbee devices")), Operator: may(r.level, access.Operator), Admin: may(r.level, access.Admin)}
	v.Acts, v.Frame.Still = s.actsView(r, v.Admin), v.Admin
	v.Images = s.o.ZigbeeNetwork.Firmware()
	search := searched(r)
	devices := filter(s.o.ZigbeeNetwork.Bridge().Firmware(), func(f *z2m.Firmwares) bool { return contains(search, f.Name, f.Vendor, f.Model) })
	devices, v.Paging = pageFor(r, devices, firmwarePerPage)
	for _, f := range devices {
		row := firmwareRow{Firmwares: f, From: version(f.Installed), To: version(f.Latest), Back: r.URL.Path, Operator: v.Operator, Admin: v.Admin,
			Busy: f.State == "updating" || f.State == "checking"}
		if f.Progress != nil {
			row.Percent = int(*f.Progress)
		}
		if f.Remaining != nil {
			row.Left = formatDuration(time.Duration(*f.Remaining) * time.Second)
		}
		v.Devices = append(v.Devices, row)
	}
	return v, nil
}

// version writes the version of a file as makers do: in hexadecimal digits.
func version(n *float64) string {
	if n == nil {
		return ""
	}
	return fmt.Sprintf("0x%08x", uint32(*n))
}

// uploadFirmware takes an image and keeps it.
func (s *Server) uploadFirmware(r *request) (Firmware, error) { return s.takeFirmware(r, r.Body) }

// uploadFirmwareForm does the same for the page.
func (s *Server) uploadFirmwareForm(w http.ResponseWriter, r *request) {
	parts, err := r.MultipartReader()
	if err != nil {
		err = wrong("file", "Choose a file with firmware first.")
	}
	for err == nil {
		part, bad := parts.NextPart()
		if bad != nil {
			err = wrong("file", "Choose a file with firmware first.")
			break
		}
		if part.FormName() != "file" {
			continue
		}
		if _, err = s.takeFirmware(r, part); err == nil {
			http.Redirect(w, r.Request, "/zigbee-firmware", http.StatusSeeOther)
			return
		}
	}
	if err != nil {
		s.fail(w, r, err)
	}
}

func (s *Server) takeFirmware(r *request, from io.Reader) (Firmware, error) {
	data, err := io.ReadAll(io.LimitReader(from, maxFirmware))
	if err != nil {
		return Firmware{}, wrong("file", "The file did not arrive: %v.", err)
	}
	if len(data) == 0 {
		return Firmware{}, wrong("file", "Choose a file with firmware first.")
	}
	ctx, cancel := lasting(r)
	defer cancel()
	return s.o.ZigbeeNetwork.AddFirmware(ctx, data)
}

func (s *Server) listFirmware(*request) ([]Firmware, error) {
	return append([]Firmware{}, s.o.ZigbeeNetwork.Firmware()...), nil
}

// removeFirmware takes an image away.
func (s *Server) removeFirmware(r *request) error {
	return s.o.ZigbeeNetwork.RemoveFirmware(r.PathValue("name"))
}

func (s *Server) removeFirmwareForm(w http.ResponseWriter, r *request) {
	err := s.o.ZigbeeNetwork.RemoveFirmware(r.PostFormValue("name"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r.Request, "/zigbee-firmware", http.StatusSeeOther)
}
