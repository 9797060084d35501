package chaos

var declineStorm = Definition{
	Name:    "decline-storm",
	Family:  ProviderFamily,
	Summary: "the payment provider refuses charges",
	Targets: paymentOnly,
	Options: []Option{chargesOption("100%"), forOption, replicasOption},
	Example: "ordbench chaos decline-storm payment --share 60% --for 5s",
	bind: func(e *Engine, s Spec) (act, error) {
		return leverFault{"provider.decline", []string{"share"}, "charges were refused"}.act(e, s)
	},
}
