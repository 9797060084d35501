package lever

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strings"
	"time"
)

// The levers that components have wherever they have what these move.
var (
	SlowStore       = New("store.slow", nil)       // each write waits for Delay
	FailStore       = New("store.fail", nil)       // writes fail
	SlowProvider    = New("provider.slow", nil)    // charges wait for Delay
	DeclineProvider = New("provider.decline", nil) // charges are refused
	TimeoutProvider = New("provider.timeout", nil) // charges get no answer
	Clock           = New("clock", nil)            // Now is off by Offset
	Memory          = New("memory", hold)          // Bytes are held
	CPU             = New("cpu", burn)             // Cores are burnt
)

var common = []*Lever{SlowStore, FailStore, SlowProvider, DeclineProvider, TimeoutProvider, Clock, Memory, CPU}

// Now is the time of this component: that of the machine, unless its clock
// was put off.
func Now() time.Time {
	if s := Clock.Acts(); s != nil {
		return time.Now().Add(s.Offset)
	}
	return time.Now()
}

// order asks for a lever to be set.
type order struct {
	Values  map[string]string `json:"values"`
	LeaseMS int64             `json:"lease_ms"`
}

// State is how a lever stands and what it has done since it was set so.
type State struct {
	Acted int64 `json:"acted"`
	Fresh bool  `json:"fresh"`
}

// longestLease bounds how long a lever may stay without being renewed.
const longestLease = time.Minute

// Handler sets and releases the common levers and more:
//
//	PUT    /levers/{name}  {"values": {"delay": "200ms"}, "lease_ms": 3000}
//	DELETE /levers/{name}
//
// Both answer with a State.
func Handler(more ...*Lever) http.Handler {
	all := slices.Concat(common, more)
	find := func(w http.ResponseWriter, r *http.Request) *Lever {
		for _, l := range all {
			if l.name == r.PathValue("name") {
				return l
			}
		}
		names := make([]string, len(all))
		for i, l := range all {
			names[i] = l.name
		}
		sort.Strings(names)
		http.Error(w, fmt.Sprintf("no lever %q here: there are %s", r.PathValue("name"), strings.Join(names, ", ")), http.StatusNotFound)
		return nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /levers/{name}", func(w http.ResponseWriter, r *http.Request) {
		l := find(w, r)
		if l == nil {
			return
		}
		var o order
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&o); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		lease := time.Duration(o.LeaseMS) * time.Millisecond
		if lease <= 0 || lease > longestLease {
			http.Error(w, fmt.Sprintf("lease_ms: 1 to %d", longestLease.Milliseconds()), http.StatusBadRequest)
			return
		}
		acted, fresh, err := l.Set(o.Values, lease)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(State{Acted: acted, Fresh: fresh}) // the caller may be gone
	})
	mux.HandleFunc("DELETE /levers/{name}", func(w http.ResponseWriter, r *http.Request) {
		if l := find(w, r); l != nil {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(State{Acted: l.Release()}) // the caller may be gone
		}
	})
	return mux
}
