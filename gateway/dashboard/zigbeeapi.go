package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"lintel/gateway/access"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/z2m"
)

// zigbeeRoutes are the Zigbee network's.
func (s *Server) zigbeeRoutes() []route {
	if s.o.ZigbeeNetwork == nil {
		return nil
	}
	bridge := s.o.ZigbeeNetwork.Bridge
	return append(s.actRoutes(),
		route{pattern: "GET /api/zigbee", level: viewer, call: gives(s, func(*request) (z2m.NetworkState, error) { return bridge().NetworkState(), nil })},
		route{pattern: "GET /api/zigbee/joining", level: viewer, call: gives(s, func(*request) ([]z2m.Joining, error) { return bridge().Joinings(), nil })},
		route{pattern: "GET /api/zigbee/groups", level: viewer, call: gives(s, func(*request) ([]z2m.GroupDetail, error) { return bridge().Groups(), nil })},
		route{pattern: "GET /api/zigbee/firmware", level: viewer, call: gives(s, func(*request) ([]z2m.Firmwares, error) { return bridge().Firmware(), nil })},
		route{pattern: "GET /api/zigbee/map", level: viewer, call: gives(s, s.showMap)},
		route{pattern: "GET /api/zigbee/devices/{ieee}", level: viewer, call: gives(s, s.showZigbeeDevice)},
		route{pattern: "POST /api/zigbee/backup", level: admin, serve: s.coordinatorBackup},
		route{pattern: "POST /zigbee-act/backup", level: admin, serve: s.coordinatorBackup},
	)
}

func (s *Server) showMap(*request) (*z2m.NetworkMap, error) {
	m := s.o.ZigbeeNetwork.Bridge().Map()
	if m == nil {
		return nil, problemf(http.StatusNotFound, "", "No map was made since Lintel has started: POST to /api/zigbee/map makes one.")
	}
	return m, nil
}

func (s *Server) showZigbeeDevice(r *request) (z2m.DeviceDetail, error) {
	ieee, err := ieeeOf(r)
	if err != nil {
		return z2m.DeviceDetail{}, err
	}
	return s.o.ZigbeeNetwork.Bridge().Detail(ieee)
}

// coordinatorBackup reads a backup from the stick and hands it out. The network key is in it.
func (s *Server) coordinatorBackup(w http.ResponseWriter, r *request) {
	if isCall(r.Request) {
		if err := decode(r, &struct{}{}); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), permitTime)
	defer cancel()
	b, err := s.o.ZigbeeNetwork.Bridge().Network().Backup(ctx)
	var text []byte
	if err == nil {
		text, err = json.MarshalIndent(b, "", "  ")
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.note(r, access.BackupTaken, "", ": of the Zigbee network")
	h := w.Header()
	h.Set("Content-Type", jsonType)
	h.Set("Content-Disposition", `attachment; filename="coordinator_backup.json"`)
	w.Write(append(text, '\n'))
}

// zigbeeProblem is what to answer because of an error of the network; nil: it is none.
func zigbeeProblem(err error) *problem {
	switch {
	case errors.Is(err, zigbee.ErrNoStick):
		return problemf(http.StatusServiceUnavailable, "", "No stick serves the Zigbee network: plug one in, wait until it is online on the first page, and try again.")
	case errors.Is(err, zigbee.ErrNoDevice):
		return problemf(http.StatusNotFound, "", "There is no such device in the Zigbee network: look at the list of devices.")
	case errors.Is(err, z2m.ErrNoAct):
		return problemf(http.StatusNotFound, "", "That is not being done, or was done long ago.")
	}
	if refused, ok := errors.AsType[*z2m.RequestError](err); ok {
		return problemf(http.StatusConflict, "", "%s", sentence(refused))
	}
	if _, ok := errors.AsType[*zigbee.DeliveryError](err); ok {
		return problemf(http.StatusBadGateway, "", "%s", sentence(err))
	}
	return nil
}
