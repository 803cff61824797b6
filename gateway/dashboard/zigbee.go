package dashboard

import "net/http"

func (s *Server) zigbeePageRoutes() []route {
	var all []route
	if s.o.Zigbee != nil {
		all = append(all, route{pattern: "GET /zigbee/", level: admin, serve: s.serveZigbee})
	}
	if s.o.ZigbeeNetwork == nil {
		return all
	}
	return append(all,
		route{pattern: "GET /zigbee-devices", level: viewer, serve: s.zigbeePage},
		route{pattern: "POST /zigbee-devices/permit", level: admin, serve: s.permitForm},
		route{pattern: "GET /zigbee-devices/{ieee}", level: viewer, serve: s.lessonPage},
		route{pattern: "POST /zigbee-devices/{ieee}", level: admin, body: maxTeaching, serve: s.teachForm},
		route{pattern: "GET /api/zigbee/devices", level: viewer, serve: s.zigbeeDevices},
		route{pattern: "POST /api/zigbee/permit", level: admin, serve: s.permit},
		route{pattern: "GET /api/zigbee/learn/{ieee}", level: viewer, serve: s.showLesson},
		route{pattern: "POST /api/zigbee/learn/{ieee}", level: admin, body: maxTeaching, serve: s.teach},
		route{pattern: "GET /api/zigbee/learn/{ieee}/definition.toml", level: viewer, serve: s.serveDefinition},
	)
}

// serveZigbee passes a request on to the front end of the Zigbee network. It is another
// project's page: it has styles of its own in its elements, and shows pictures of devices
// from the internet.
func (s *Server) serveZigbee(w http.ResponseWriter, r *request) {
	w.Header().Set("Content-Security-Policy", "default-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; "+
		"img-src 'self' data: blob: https:; font-src 'self' data:; worker-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	http.StripPrefix("/zigbee", s.o.Zigbee).ServeHTTP(w, r.Request)
}
