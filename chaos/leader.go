package chaos

var leaderAway = Definition{
	Name:    "leader-unavailable",
	Family:  BrokerFamily,
	Summary: "no partition has a leader: who asks is told so, and who comes is turned away",
	Targets: brokerOnly,
	Options: []Option{forOption},
	NotOn:   map[string]string{onDocker: notOrdered},
	Example: "ordbench chaos leader-unavailable broker --for 5s",
	bind: func(e *Engine, s Spec) (act, error) {
		return leverFault{"broker.leader", []string{}, "requests found no leader"}.act(e, s)
	},
}
