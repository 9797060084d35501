package chaos

import "slices"

// Definition describes one kind of fault.
type Definition struct {
	Name    string   `json:"name"`
	Summary string   `json:"summary"`
	Targets []string `json:"targets"` // components; each of their replicas too
	Options []Option `json:"options"`
	Example string   `json:"example"` // a command line
}

// Option is a setting of a fault, by its name in a scenario; the flag of the
// command line has dashes for underscores.
type Option struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"` // duration | count
	Default string `json:"default"`
	Summary string `json:"summary"`
}

var components = []string{"gateway", "order", "inventory", "payment", "notification", "broker", "cache"}

var replicasOption = Option{"replicas", "count", "0", "how many replicas of the component; 0 takes all that run"}

// Catalogue lists the faults, in the order in which help shows them.
func Catalogue() []Definition {
	return []Definition{
		{
			Name:    "kill",
			Summary: "SIGKILL: no goodbye, memory lost, disk kept",
			Targets: slices.Clone(components),
			Options: []Option{
				{"restart_after", "duration", "0s", "how long it is held down; 0 leaves the restart to the supervisor"},
				replicasOption,
			},
			Example: "ordbench chaos kill inventory --restart-after 2s",
		},
		{
			Name:    "pause",
			Summary: "SIGSTOP: connections stay open, nobody answers",
			Targets: slices.Clone(components),
			Options: []Option{
				{"for", "duration", "0s", "how long; 0 lasts until resume or heal"},
				replicasOption,
			},
			Example: "ordbench chaos pause broker --for 5s",
		},
		{
			Name:    "resume",
			Summary: "SIGCONT: ends a pause",
			Targets: slices.Clone(components),
			Options: []Option{replicasOption},
			Example: "ordbench chaos resume broker",
		},
		{
			Name:    "restart",
			Summary: "SIGTERM, a graceful end, and a new start",
			Targets: slices.Clone(components),
			Options: []Option{replicasOption},
			Example: "ordbench chaos restart order-0",
		},
	}
}

// Find returns the definition of a fault.
func Find(name string) (Definition, bool) {
	for _, d := range Catalogue() {
		if d.Name == name {
			return d, true
		}
	}
	return Definition{}, false
}

func (d Definition) takes(option string) bool {
	return slices.ContainsFunc(d.Options, func(o Option) bool { return o.Name == option })
}

func (d Definition) optionNames() []string {
	names := make([]string, len(d.Options))
	for i, o := range d.Options {
		names[i] = o.Name
	}
	return names
}
