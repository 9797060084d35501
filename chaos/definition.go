package chaos

import (
	"slices"
	"strings"
)

// Definition describes one kind of fault. Each stands in a file of its own,
// with what it needs of the system, how it is made, proven and undone.
type Definition struct {
	Name    string   `json:"name"`
	Family  Family   `json:"family"`
	Summary string   `json:"summary"`
	Targets []string `json:"targets"` // components, each of their replicas too; links; or a form
	Options []Option `json:"options"`
	Needs   []Need   `json:"needs"`
	// NotOn says why it can't be made on a runtime, by the runtime's name.
	NotOn map[string]string `json:"not_on,omitempty"`
	// TargetsOn are the components it can be made on, on a runtime where that
	// is not all of its targets, by the runtime's name.
	TargetsOn map[string]Part `json:"targets_on,omitempty"`
	Notes     []string        `json:"notes,omitempty"`
	Example   string          `json:"example"` // a command line

	Least int `json:"least,omitempty"` // replicas that its target must have; 0: one will do

	on     form
	length string // the option that says how long it stands; "": it has no length
	lever  bool   // it moves a lever, which only our own programs have
	piles  bool   // it may stand more than once on one place
	check  func(Spec) *UsageError
	bind   func(e *Engine, s Spec) (act, error)
}

// Part is some of the targets of a fault.
type Part struct {
	Targets []string `json:"targets"`
	Else    string   `json:"else"` // why the others can't be hit
}

// Family is what a fault is done to.
type Family string

// The families, in the order in which the catalogue lists them.
const (
	ProcessFamily    Family = "process"
	LinkFamily       Family = "link"
	PartitionFamily  Family = "partition"
	PacketFamily     Family = "packets"
	BrokerFamily     Family = "broker"
	DependencyFamily Family = "dependency"
	ProviderFamily   Family = "provider"
	ResourceFamily   Family = "resources"
)

// form is what the target of a fault looks like.
type form int

const (
	onReplicas  form = iota // "inventory", or "inventory-3"
	onLink                  // "gateway->order"
	onPartition             // "gateway|order", "gateway->order+inventory"
)

// Need is something that a fault needs of the machine or of the system.
type Need struct {
	What    string `json:"what"`
	On      string `json:"on,omitempty"`      // the runtime on which it is needed; "": everywhere
	Missing string `json:"missing,omitempty"` // why it is not there; "": it is, or only a running stack can tell
}

// Runs says whether the fault can be made on this machine, on any runtime.
func (d Definition) Runs() bool {
	local, _ := d.RunsOn(onLocal)
	docker, _ := d.RunsOn(onDocker)
	return local || docker
}

// definitions lists the faults in the order in which help shows them.
func definitions() []Definition {
	return []Definition{
		kill, stop, pause, resume, restart, crashLoop, failpoint,
		latency, bandwidth, reset, halfOpen, slice, cut, dropAfter, flap,
		partition, packetLoss, packetDelay,
		killLeader, leaderAway, produceErrors, fetchErrors, commitErrors, rebalanceStorm, poison, redrive,
		slowDatabase, failingDatabase, lockHeld, diskFull, cacheFlush, cacheAway,
		providerLatency, declineStorm, timeoutStorm,
		cpuLimit, cpuBurn, memoryLimit, memory, files, clock,
	}
}

var known map[string]Definition

func init() {
	known = map[string]Definition{}
	for _, d := range definitions() {
		if slices.ContainsFunc(d.Options, func(o Option) bool { return o.Name == "for" }) && d.length == "" {
			d.length = "for"
		}
		known[d.Name] = d
	}
}

// Catalogue lists the faults, in the order in which help shows them, with
// what of their needs is missing on this machine.
func Catalogue() []Definition {
	var all []Definition
	for _, d := range definitions() {
		d = known[d.Name]
		d.Needs = slices.Clone(d.Needs)
		for i := range d.Needs {
			d.Needs[i].Missing = lacking(d.Needs[i].What)
		}
		all = append(all, d)
	}
	return all
}

// Find returns the definition of a fault.
func Find(name string) (Definition, bool) {
	d, ok := known[name]
	return d, ok
}

// AllOptions lists every option that any fault has, each name once. Options
// of one name are of one kind.
func AllOptions() []Option {
	var all []Option
	for _, d := range definitions() {
		for _, o := range d.Options {
			if !slices.ContainsFunc(all, func(a Option) bool { return a.Name == o.Name }) {
				all = append(all, o)
			}
		}
	}
	return all
}

func (d Definition) option(name string) (Option, bool) {
	i := slices.IndexFunc(d.Options, func(o Option) bool { return o.Name == name })
	if i < 0 {
		return Option{}, false
	}
	return d.Options[i], true
}

func (d Definition) optionNames() string {
	if len(d.Options) == 0 {
		return "no options"
	}
	names := make([]string, len(d.Options))
	for i, o := range d.Options {
		names[i] = o.Name
	}
	return strings.Join(names, ", ")
}
