package chaos

var rebalanceStorm = Definition{
	Name:    "rebalance-storm",
	Family:  BrokerFamily,
	Summary: "members of groups are told to join anew, again and again",
	Targets: brokerOnly,
	Options: []Option{
		{Name: "every", Kind: Duration, Default: "1s", Summary: "how often"},
		forOption,
	},
	Example: "ordbench chaos rebalance-storm broker --every 1s --for 10s",
	check:   func(s Spec) *UsageError { return s.positive("every") },
	bind: func(e *Engine, s Spec) (act, error) {
		return leverFault{"broker.rebalance", []string{"every"}, "heartbeats were answered with a rebalance"}.act(e, s)
	},
}
