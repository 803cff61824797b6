package dashboard

import (
	"net/http"
	"reflect"
)

// call is a route of the API: what it tells of itself, see [Server.openAPI], and what it does.
// A parameter of the query that is not here is refused.
type call struct {
	about string // what it does, a sentence without its point
	query []parameter
	// in and out are values of the types that it takes and answers with, which need not be
	// filled: a struct, or [media], [form], [either] or [fields]. nil is {} for in, and
	// nothing for out.
	in, out any
	done    int  // status of the answer if all goes well; 0: 200, or 204 where out is nil
	later   bool // it may be 202 too, with the same: it goes on

	do func(w http.ResponseWriter, r *request) // nil: serve of the route does it
}

// nothing is what a call takes that takes {}, and answers with that answers with no body.
type nothing struct{}

// gives is a call that takes no JSON and answers with it.
func gives[Out any](s *Server, of func(*request) (Out, error)) call {
	return call{out: exampleOf[Out](), do: func(w http.ResponseWriter, r *request) {
		out, err := of(r)
		s.reply(w, r, out, err)
	}}
}

// does is a call that takes no JSON and answers with nothing.
func does(s *Server, do func(*request) error) call {
	return gives(s, func(r *request) (nothing, error) { return nothing{}, do(r) })
}

// takes is a call that takes JSON and answers with it.
func takes[In, Out any](s *Server, do func(*request, In) (Out, error)) call {
	return call{in: exampleOf[In](), out: exampleOf[Out](), do: func(w http.ResponseWriter, r *request) {
		var in In
		var out Out
		err := decode(r, &in)
		if err == nil {
			out, err = do(r, in)
		}
		s.reply(w, r, out, err)
	}}
}

// exampleOf is what describes a type; nil: it is nothing.
func exampleOf[T any]() any {
	t := reflect.TypeFor[T]()
	if t == reflect.TypeFor[nothing]() {
		return nil
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return reflect.Zero(t).Interface()
}

// reply answers a call with what came of it.
func (s *Server) reply(w http.ResponseWriter, r *request, out any, err error) {
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if _, none := out.(nothing); none {
		w.WriteHeader(r.route.success())
		return
	}
	s.answer(w, r.route.success(), out)
}

// describe puts to each route of the API what is told of it.
func describe(routes []route) []route {
	calls := describedCalls()
	for i := range routes {
		rt := &routes[i]
		told := calls[rt.pattern]
		if told.in == nil { // else it is an example
			told.in = rt.in
		}
		if told.out == nil {
			told.out = rt.out
		}
		if told.do = rt.do; told.do != nil {
			rt.serve = told.do
		}
		rt.call = told
	}
	return routes
}
