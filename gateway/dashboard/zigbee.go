package dashboard

import (
	"context"
	"net/http"
	"strings"
)

func (s *Server) zigbeePageRoutes() []route {
	var all []route
	if s.o.Zigbee != nil {
		all = append(all, route{pattern: "GET /zigbee/", level: admin, serve: s.serveZigbee})
	}
	if s.o.ZigbeeNetwork == nil {
		return all
	}
	return append(all,
		route{pattern: "GET /zigbee", level: viewer, serve: s.live(livePage{"zigbeenetwork.html",
			[]string{"zigbee-acts", "zigbee-open", "zigbee-joining", "zigbee-state", "zigbee-channels"}, s.zigbeeNetworkView})},
		route{pattern: "GET /zigbee-map", level: viewer, serve: s.live(livePage{"zigbeemap.html", []string{"zigbee-acts", "zigbee-scan"}, s.mapPageView})},
		route{pattern: "GET /zigbee-groups", level: viewer, serve: s.live(livePage{"zigbeegroups.html", []string{"zigbee-acts", "zigbee-groups"}, s.groupsPageView})},
		route{pattern: "GET /zigbee-groups/{id}", level: viewer, serve: s.live(livePage{"zigbeegroup.html", []string{"zigbee-acts", "zigbee-group"}, s.groupPageView})},
		route{pattern: "GET /zigbee-firmware", level: viewer, serve: s.live(livePage{"zigbeefirmware.html",
			[]string{"zigbee-acts", "zigbee-firmware", "zigbee-images"}, s.firmwarePageView})},
		route{pattern: "POST /zigbee-firmware/upload", level: admin, body: maxFirmware, kind: multipartType, serve: s.uploadFirmwareForm},
		route{pattern: "POST /zigbee-firmware/remove", level: admin, serve: s.removeFirmwareForm},
		route{pattern: "POST /api/zigbee/images", level: admin, body: maxFirmware, kind: uploadType, call: gives(s, s.uploadFirmware)},
		route{pattern: "GET /api/zigbee/images", level: viewer, call: gives(s, s.listFirmware)},
		route{pattern: "DELETE /api/zigbee/images/{name}", level: admin, call: does(s, s.removeFirmware)},
		route{pattern: "GET /zigbee-devices", level: viewer, serve: s.live(livePage{"zigbeedevices.html",
			[]string{"zigbee-acts", "zigbee-devices", "zigbee-lessons"}, s.zigbeeView})},
		route{pattern: "GET /zigbee-devices/{ieee}/technical", level: viewer, serve: s.live(livePage{"zigbeetechnical.html",
			[]string{"zigbee-acts", "zigbee-inside"}, s.technicalPageView})},
		route{pattern: "GET /zigbee-devices/{ieee}", level: viewer, serve: s.live(livePage{"zigbeelearn.html", []string{"zigbee-datapoints"}, s.lessonView})},
		route{pattern: "POST /zigbee-devices/{ieee}", level: admin, body: maxTeaching, serve: s.teachForm},
		route{pattern: "GET /api/zigbee/devices", level: viewer, call: gives(s, s.zigbeeDevices)},
		route{pattern: "POST /api/zigbee/permit", level: admin, call: takes(s, s.permit)},
		route{pattern: "GET /api/zigbee/learn/{ieee}", level: viewer, call: gives(s, s.showLesson)},
		route{pattern: "POST /api/zigbee/learn/{ieee}", level: admin, body: maxTeaching, call: takes(s, s.teach)},
		route{pattern: "GET /api/zigbee/learn/{ieee}/definition.toml", level: viewer, serve: s.serveDefinition},
	)
}

// serveZigbee passes a request on to the front end of the Zigbee network. It is another
// project's page: it has styles of its own in its elements, and shows pictures of devices
// from the internet.
func (s *Server) serveZigbee(w http.ResponseWriter, r *request) {
	w.Header().Set("Content-Security-Policy", "default-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; "+
		"img-src 'self' data: blob: https:; font-src 'self' data:; worker-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	hr := r.Request
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") { // it would outlive a logout
		ctx, stop := context.WithCancelCause(r.Context())
		defer stop(nil)
		go s.watchSocket(ctx, r, stop)
		hr = hr.WithContext(ctx)
	}
	http.StripPrefix("/zigbee", s.o.Zigbee).ServeHTTP(w, hr)
}
