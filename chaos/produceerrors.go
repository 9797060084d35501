package chaos

var produceErrors = Definition{
	Name:    "produce-errors",
	Family:  BrokerFamily,
	Summary: "the broker refuses messages with an error of Kafka's",
	Targets: brokerOnly,
	Options: []Option{
		codeOption("NOT_ENOUGH_REPLICAS", "NOT_ENOUGH_REPLICAS_AFTER_APPEND", "REQUEST_TIMED_OUT", "KAFKA_STORAGE_ERROR", "NOT_LEADER_FOR_PARTITION", "MESSAGE_TOO_LARGE"),
		requestsOption, topicOption, forOption,
	},
	NotOn:   map[string]string{onDocker: notOrdered},
	Example: "ordbench chaos produce-errors broker --code NOT_ENOUGH_REPLICAS_AFTER_APPEND --share 30% --for 5s",
	check:   Spec.checkTopic,
	bind:    brokerFault("broker.produce", "produce requests were answered with an error"),
}
