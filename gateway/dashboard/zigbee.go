package dashboard

import "net/http"

// serveZigbee passes a request on to the front end of the Zigbee network. It is another
// project's page: it has styles of its own in its elements, and shows pictures of devices
// from the internet.
func (s *Server) serveZigbee(w http.ResponseWriter, r *request) {
	w.Header().Set("Content-Security-Policy", "default-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; "+
		"img-src 'self' data: blob: https:; font-src 'self' data:; worker-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	http.StripPrefix("/zigbee", s.o.Zigbee).ServeHTTP(w, r.Request)
}
