package dashboard

import (
	"context"
	"errors"
	"net/http"
	"time"
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
	return []route{
		{pattern: "GET /simulate", level: admin, serve: s.simulatePage},
		{pattern: "POST /simulate/start", level: admin, serve: s.simulateForm(s.o.Simulations.Start)},
		{pattern: "POST /simulate/stop", level: admin, serve: s.simulateForm(s.o.Simulations.Stop)},
		{pattern: "GET /api/simulate", level: admin, call: gives(s, s.simulateState)},
		{pattern: "POST /api/simulate", level: admin, call: takes(s, s.simulateCall)},
		{pattern: "DELETE /api/simulate/{kind}", level: admin, call: does(s, s.simulateStopCall)},
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

// simulationProblem makes a problem of an error of the simulator; nil: it is none.
func simulationProblem(err error) *problem {
	if refused, ok := errors.AsType[*SimulationError](err); ok {
		return problemf(http.StatusConflict, "", "%s", sentence(refused))
	}
	return nil
}

func (s *Server) simulateForm(do func(context.Context, string) error) func(http.ResponseWriter, *request) {
	return func(w http.ResponseWriter, r *request) {
		ctx, cancel := lasting(r)
		defer cancel()
		if err := do(ctx, r.PostFormValue("kind")); err != nil {
			s.showSimulate(w, r, s.problemOf(r.Request, err).nowhere())
			return
		}
		http.Redirect(w, r.Request, "/simulate", http.StatusSeeOther)
	}
}

func (s *Server) simulateState(*request) (simulateAnswer, error) { return s.simulated(), nil }

type simulateRequest struct {
	Kind string `json:"kind" api:"required"`
}

func (s *Server) simulateCall(r *request, in simulateRequest) (simulateAnswer, error) {
	if in.Kind == "" {
		return simulateAnswer{}, wrong("kind", `Say which stick: {"kind": "dsmr"}.`)
	}
	ctx, cancel := lasting(r)
	defer cancel()
	err := s.o.Simulations.Start(ctx, in.Kind)
	return s.simulated(), err
}

func (s *Server) simulateStopCall(r *request) error {
	ctx, cancel := lasting(r)
	defer cancel()
	return s.o.Simulations.Stop(ctx, r.PathValue("kind"))
}
