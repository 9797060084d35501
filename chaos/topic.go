package chaos

import (
	"fmt"
	"slices"
)

// topics are those of the system; a test holds them to its own.
var topics = []string{
	"orders-topic", "inventory-topic", "payment-topic",
	"order-group.retry", "inventory-group.retry", "payment-group.retry", "notification-group.retry",
	"order-group.dead", "inventory-group.dead", "payment-group.dead", "notification-group.dead",
}

var topicOption = Option{Name: "topic", Kind: Word, Default: "all", Summary: "one topic, or all"}

// checkTopic knows the topic of a fault, or that it is all of them where that
// is what there is by default.
func (s Spec) checkTopic() *UsageError {
	d, _ := Find(s.Fault)
	o, _ := d.option(topicOption.Name)
	topic := s.text(o.Name)
	if topic == o.Default || slices.Contains(topics, topic) {
		return nil
	}
	return &UsageError{Field: o.Name, Message: fmt.Sprintf("unknown topic %q", topic), Hint: suggest(topic, topics)}
}
