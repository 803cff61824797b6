package dashboard

import (
	"context"
	"errors"
	"net/http"
	"time"

	"lintel/gateway/access"
)

// Simulations are sticks that are not there, for trying the box out. They are gone after a
// restart.
type Simulations interface {
	Kinds() []string
	Playing() []Simulation
	// Start and Stop fail with a *SimulationError if a person can do something about it.
	Start(ctx context.Context, kind string) error
	Stop(ctx context.Context, kind string) error
}

// Simulation is a stick that is played.
type Simulation struct {
	Kind  string    `json:"kind"`
	Stick string    `json:"stick"` // its id as a device
	Since time.Time `json:"since"`
}

// SimulationError is why a stick cannot be played.
type SimulationError struct{ Reason string }

func (e *SimulationError) Error() string { return e.Reason }

func (s *Server) simulateRoutes() []route {
	if s.o.Simulations == nil {
		return nil
	}
	const admin = access.Admin
	return []route{
		{pattern: "GET /simulate", level: admin, serve: s.simulatePage},
		{pattern: "POST /simulate/start", level: admin, serve: s.simulateForm(s.o.Simulations.Start)},
		{pattern: "POST /simulate/stop", level: admin, serve: s.simulateForm(s.o.Simulations.Stop)},
		{pattern: "GET /api/simulate", level: admin, serve: s.simulateState},
		{pattern: "POST /api/simulate", level: admin, serve: s.simulateCall},
		{pattern: "DELETE /api/simulate/{kind}", level: admin, serve: s.simulateStopCall},
	}
}

// simulateAnswer is what is played, and what can be.
type simulateAnswer struct {
	Playing []Simulation `json:"playing"`
	Kinds   []string     `json:"kinds"`
}

type simulateView struct {
	Frame frame
	simulateAnswer
	Now   time.Time
	Error *problem
}

func (s *Server) simulated() simulateAnswer {
	return simulateAnswer{append([]Simulation{}, s.o.Simulations.Playing()...), s.o.Simulations.Kinds()}
}

func (s *Server) simulatePage(w http.ResponseWriter, r *request) { s.showSimulate(w, r, nil) }

func (s *Server) showSimulate(w http.ResponseWriter, r *request, p *problem) {
	code := http.StatusOK
	if p != nil {
		code = p.code
	}
	s.show(w, r, code, "simulate.html", &simulateView{Frame: s.frame(r, r.t("Simulator")), simulateAnswer: s.simulated(), Now: time.Now(), Error: p})
}

// simulationProblem makes a problem of an error of the simulator.
func simulationProblem(err error) error {
	if refused, ok := errors.AsType[*SimulationError](err); ok {
		return problemf(http.StatusConflict, "", "%s", sentence(refused))
	}
	return err
}

func (s *Server) simulateForm(do func(context.Context, string) error) func(http.ResponseWriter, *request) {
	return func(w http.ResponseWriter, r *request) {
		err := parse(r)
		if err == nil {
			ctx, cancel := lasting(r)
			defer cancel()
			err = simulationProblem(do(ctx, r.PostFormValue("kind")))
		}
		if err != nil {
			p := *s.problemOf(r.Request, err)
			p.field = ""
			s.showSimulate(w, r, &p)
			return
		}
		http.Redirect(w, r.Request, "/simulate", http.StatusSeeOther)
	}
}

func (s *Server) simulateState(w http.ResponseWriter, _ *request) {
	s.answer(w, http.StatusOK, s.simulated())
}

func (s *Server) simulateCall(w http.ResponseWriter, r *request) {
	var call simulateRequest
	err := decode(r, &call)
	if err == nil && call.Kind == "" {
		err = wrong("kind", `Say which stick: {"kind": "dsmr"}.`)
	}
	if err == nil {
		ctx, cancel := lasting(r)
		defer cancel()
		err = simulationProblem(s.o.Simulations.Start(ctx, call.Kind))
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.simulateState(w, r)
}

func (s *Server) simulateStopCall(w http.ResponseWriter, r *request) {
	ctx, cancel := lasting(r)
	defer cancel()
	if err := s.o.Simulations.Stop(ctx, r.PathValue("kind")); err != nil {
		s.fail(w, r, simulationProblem(err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
