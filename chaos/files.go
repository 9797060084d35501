package chaos

var files = Definition{
	Name:    "files",
	Family:  ResourceFamily,
	Summary: "the process has no file descriptors left: no new file, no new connection",
	Targets: processes,
	Options: []Option{
		{Name: "spare", Kind: Count, Default: "0", Summary: "how many more it may open"},
		forOption, replicasOption,
	},
	Needs:   []Need{{What: needPrlimit, On: onLocal}},
	Example: "ordbench chaos files gateway --spare 5 --for 5s",
	bind:    limitFault("files", func(s Spec) int64 { return int64(s.count("spare")) }),
}
