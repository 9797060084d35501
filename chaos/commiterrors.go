package chaos

var commitErrors = Definition{
	Name:    "commit-errors",
	Family:  BrokerFamily,
	Summary: "commits of offsets fail: what was done is not remembered as done",
	Targets: brokerOnly,
	Options: []Option{
		codeOption("COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR", "REBALANCE_IN_PROGRESS", "REQUEST_TIMED_OUT"),
		requestsOption, forOption,
	},
	NotOn:   map[string]string{onDocker: notOrdered},
	Example: "ordbench chaos commit-errors broker --for 5s",
	bind:    brokerFault("broker.commit", "commits of offsets failed"),
}
