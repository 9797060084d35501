package chaos

var clock = Definition{
	Name:    "clock",
	Family:  ResourceFamily,
	Summary: "the clock of a service is off",
	Targets: services,
	Options: []Option{
		{Name: "offset", Kind: Offset, Default: "1m", Summary: "how far, -30s for a clock that is behind"},
		forOption, replicasOption,
	},
	Example: "ordbench chaos clock order --offset=-30s --for 10s",
	check: func(s Spec) *UsageError {
		if s.duration("offset") == 0 {
			return &UsageError{Field: "offset", Message: "a clock that is off by nothing is right"}
		}
		return nil
	},
	bind: func(e *Engine, s Spec) (act, error) {
		return leverFault{"clock", []string{"offset"}, "times were taken from the wrong clock"}.act(e, s)
	},
}
