package payment

import (
	"strings"
	"testing"
	"time"
)

func TestValidateNamesEveryProblem(t *testing.T) {
	good := Config{
		Replica: "payment-0", Listen: "127.0.0.1:1", Admin: "127.0.0.1:2", Brokers: []string{"127.0.0.1:3"},
		Database: "payment.db", Partitions: 40, Inbox: true, Provider: ProviderConfig{Decline: 1, Timeout: 1}, Grace: time.Second,
	}
	if err := good.Validate(); err != nil {
		t.Errorf("a good config: %v", err)
	}
	err := Config{Brokers: []string{"nowhere"}, Provider: ProviderConfig{Work: -1, Decline: 1.1, Timeout: -0.1}}.Validate()
	for _, want := range []string{"replica", "listen", "admin", "broker", "database", "partitions", "work", "decline", "timeout", "grace"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}
