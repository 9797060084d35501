package chaos

var fetchErrors = Definition{
	Name:    "fetch-errors",
	Family:  BrokerFamily,
	Summary: "the broker answers fetches with an error of Kafka's",
	Targets: brokerOnly,
	Options: []Option{
		codeOption("NOT_LEADER_FOR_PARTITION", "KAFKA_STORAGE_ERROR", "UNKNOWN_TOPIC_OR_PARTITION", "REQUEST_TIMED_OUT"),
		requestsOption, topicOption, forOption,
	},
	NotOn:   map[string]string{onDocker: notOrdered},
	Example: "ordbench chaos fetch-errors broker --share 50% --for 5s",
	check:   Spec.checkTopic,
	bind:    brokerFault("broker.fetch", "fetch requests were answered with an error"),
}
