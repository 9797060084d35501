package chaos

var timeoutStorm = Definition{
	Name:    "timeout-storm",
	Family:  ProviderFamily,
	Summary: "the payment provider does not answer; half of what it was asked it has done",
	Targets: paymentOnly,
	Options: []Option{chargesOption("50%"), forOption, replicasOption},
	Example: "ordbench chaos timeout-storm payment --share 50% --for 5s",
	bind: func(e *Engine, s Spec) (act, error) {
		return leverFault{"provider.timeout", []string{"share"}, "charges got no answer"}.act(e, s)
	},
}
