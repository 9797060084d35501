package chaos

var failingDatabase = Definition{
	Name:    "failing-database",
	Family:  DependencyFamily,
	Summary: "writes to the database of a service fail before they are made",
	Targets: keepers,
	Options: []Option{
		{Name: "share", Kind: Share, Default: "100%", Summary: "of the writes"},
		forOption, replicasOption,
	},
	Example: "ordbench chaos failing-database inventory --share 20% --for 5s",
	bind: func(e *Engine, s Spec) (act, error) {
		return leverFault{"store.fail", []string{"share"}, "writes failed"}.act(e, s)
	},
}
