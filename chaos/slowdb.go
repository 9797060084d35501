package chaos

var slowDatabase = Definition{
	Name:    "slow-database",
	Family:  DependencyFamily,
	Summary: "every write to the database of a service takes longer",
	Targets: keepers,
	Options: []Option{
		{Name: "delay", Kind: Duration, Default: "200ms", Summary: "that is added"},
		{Name: "share", Kind: Share, Default: "100%", Summary: "of the writes"},
		forOption, replicasOption,
	},
	Example: "ordbench chaos slow-database order --delay 100ms --for 5s",
	check:   func(s Spec) *UsageError { return s.positive("delay") },
	bind: func(e *Engine, s Spec) (act, error) {
		return leverFault{"store.slow", []string{"delay", "share"}, "writes were delayed"}.act(e, s)
	},
}
