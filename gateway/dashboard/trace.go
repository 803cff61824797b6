package dashboard

func (s *Server) traceRoutes() []route { return nil }
