package chaos

var cpuBurn = Definition{
	Name:    "cpu-burn",
	Family:  ResourceFamily,
	Summary: "the process spins beside its work",
	Targets: components,
	Options: []Option{
		{Name: "cores", Kind: Cores, Default: "1", Summary: "that it burns"},
		forOption, replicasOption,
	},
	Example: "ordbench chaos cpu-burn inventory --cores 1 --for 5s",
	lever:   true,
	bind: func(e *Engine, s Spec) (act, error) {
		return leverFault{"cpu", []string{"cores"}, "ms of a core were burnt"}.act(e, s)
	},
}
