package chaos

var memory = Definition{
	Name:    "memory",
	Family:  ResourceFamily,
	Summary: "the process holds that much more memory, all of it touched",
	Targets: components,
	Options: []Option{
		{Name: "bytes", Kind: Bytes, Default: "256MiB", Summary: "that it holds"},
		forOption, replicasOption,
	},
	Example: "ordbench chaos memory order --bytes 512MiB --for 10s",
	check: func(s Spec) *UsageError {
		if s.bytes("bytes") == 0 {
			return &UsageError{Field: "bytes", Message: "0 bytes are no burden"}
		}
		return nil
	},
	lever: true,
	bind: func(e *Engine, s Spec) (act, error) {
		return leverFault{"memory", []string{"bytes"}, "MiB are held"}.act(e, s)
	},
}
