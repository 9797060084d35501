package chaos

var diskFull = Definition{
	Name:    "disk-full",
	Family:  DependencyFamily,
	Summary: "the kernel refuses every byte that would make a file longer than a size",
	Targets: keepers,
	Options: []Option{
		{Name: "bytes", Kind: Bytes, Default: "4KiB", Summary: "how long a file may be"},
		forOption, replicasOption,
	},
	Needs:   []Need{{What: needPrlimit, On: onLocal}},
	NotOn:   map[string]string{onDocker: "its services keep their data in PostgreSQL and write no files; take failing-database"},
	Example: "ordbench chaos disk-full order --for 5s",
	bind:    limitFault("file-bytes", func(s Spec) int64 { return s.bytes("bytes") }),
}
