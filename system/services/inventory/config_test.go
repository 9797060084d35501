package inventory

import (
	"strings"
	"testing"
	"time"
)

func TestValidateNamesEveryProblem(t *testing.T) {
	good := Config{
		Replica: "inventory-0", Listen: "127.0.0.1:1", Admin: "127.0.0.1:2", Brokers: []string{"127.0.0.1:3"},
		Database: "inventory.db", Partitions: 40, Inbox: true, SKUs: 1, Grace: time.Second,
	}
	if err := good.Validate(); err != nil {
		t.Errorf("a good config: %v", err)
	}
	err := Config{Brokers: []string{"nowhere"}, Work: -1, Stock: -1}.Validate()
	for _, want := range []string{"replica", "listen", "admin", "broker", "database", "partitions", "work", "skus", "stock", "grace"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

func TestBatchSize(t *testing.T) {
	for _, row := range []struct {
		work time.Duration
		want int
	}{
		{0, 256},
		{100 * time.Microsecond, 256},
		{time.Millisecond, 160},
		{2 * time.Millisecond, 80},
		{5 * time.Millisecond, 32},
		{time.Second, 32},
	} {
		if got := batchSize(row.work); got != row.want {
			t.Errorf("of %s each: %d, want %d", row.work, got, row.want)
		}
	}
}
