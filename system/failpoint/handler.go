package failpoint

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/ordbench/ordbench/system/endpoint"
)

// planLimit bounds a plan on its way, in bytes.
const planLimit = 4 << 10

// HostVariable names, in the environment of a process in a container, the
// address under which callers on the container's host appear there.
const HostVariable = "ORDBENCH_HOST_ADDRESS"

// Handler answers for the points of a component, to callers on this machine
// only, or on the host of its container: who can arm one can kill the process.
//
//	GET    /failpoints         200 with a list of State
//	PUT    /failpoints/{name}  204 once it is armed with the Plan in the body
//	DELETE /failpoints/{name}  204 once it is disarmed
func Handler(component string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /failpoints", func(w http.ResponseWriter, _ *http.Request) {
		endpoint.WriteJSON(w, http.StatusOK, States(component+"."))
	})
	mux.HandleFunc("PUT /failpoints/{name}", func(w http.ResponseWriter, r *http.Request) {
		plan, err := decode(http.MaxBytesReader(w, r.Body, planLimit))
		if err == nil {
			err = Arm(r.PathValue("name"), plan)
		}
		answer(w, err)
	})
	mux.HandleFunc("DELETE /failpoints/{name}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, Disarm(r.PathValue("name")))
	})
	own := net.ParseIP(os.Getenv(HostVariable)) // nil: there is none, and nobody is equal to it
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() && !ip.Equal(own) {
			endpoint.NewProblem(http.StatusForbidden, "stranger", "failpoints answer on the loopback interface only").Write(w)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// decode reads exactly one plan; keys that it does not know are errors.
func decode(r io.Reader) (Plan, error) {
	var plan Plan
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&plan); err != nil {
		return Plan{}, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return Plan{}, errors.New("the body goes on after the plan")
	}
	return plan, plan.Validate()
}

func answer(w http.ResponseWriter, err error) {
	var unknown *UnknownError
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.As(err, &unknown):
		endpoint.NewProblem(http.StatusNotFound, "failpoint", err.Error()).Write(w)
	default:
		endpoint.NewProblem(http.StatusBadRequest, "plan", err.Error()).Write(w)
	}
}
