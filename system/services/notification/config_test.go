package notification

import (
	"strings"
	"testing"
	"time"
)

func TestValidateNamesEveryProblem(t *testing.T) {
	good := Config{
		Replica: "notification-0", Listen: "127.0.0.1:1", Admin: "127.0.0.1:2", Brokers: []string{"127.0.0.1:3"},
		Database: "notification.db", Partitions: 40, Inbox: true, Grace: time.Second,
	}
	if err := good.Validate(); err != nil {
		t.Errorf("a good config: %v", err)
	}
	err := Config{Brokers: []string{"nowhere"}}.Validate()
	for _, want := range []string{"replica", "listen", "admin", "broker", "database", "partitions", "grace"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}
