package chaos

var providerLatency = Definition{
	Name:    "provider-latency",
	Family:  ProviderFamily,
	Summary: "the payment provider takes longer to answer",
	Targets: paymentOnly,
	Options: []Option{
		{Name: "delay", Kind: Duration, Default: "200ms", Summary: "that is added to each call"},
		chargesOption("100%"), forOption, replicasOption,
	},
	Example: "ordbench chaos provider-latency payment --delay 500ms --for 10s",
	check:   func(s Spec) *UsageError { return s.positive("delay") },
	bind: func(e *Engine, s Spec) (act, error) {
		return leverFault{"provider.slow", []string{"delay", "share"}, "charges took longer"}.act(e, s)
	},
}
