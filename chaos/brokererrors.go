package chaos

import "slices"

var brokerOnly = []string{"broker"}

// notOrdered is why a real Kafka has no such fault.
const notOrdered = "a real Kafka can't be told to answer with an error; take kill, pause or kill-leader of brokers, or a link fault"

// brokerFault lets the broker answer some requests with an error.
func brokerFault(lever, acts string) func(*Engine, Spec) (act, error) {
	return func(e *Engine, s Spec) (act, error) {
		return leverFault{lever, []string{"share", "code", "topic"}, acts}.act(e, s)
	}
}

func codeOption(codes ...string) Option {
	return Option{Name: "code", Kind: Word, Default: codes[0], Words: slices.Clone(codes), Summary: "Kafka's name of the error"}
}

var requestsOption = Option{Name: "share", Kind: Share, Default: "100%", Summary: "of the requests"}
