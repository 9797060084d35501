package check

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/system"
)

// BenchmarkMillion judges a million attempts with all their rows: a row, two
// SKUs reserved and sold, a charge with its entries, a notification, three
// promises and three events each. It reports seconds and the
// most memory that the process ever had; run it alone.
func BenchmarkMillion(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		book := NewBook(Options{})
		quantity := map[string]int64{}
		for i := range n {
			// Strings made anew for each row, as a database driver does.
			id, key := "0190"+strconv.Itoa(1000+i%9000)+"-0000-7000-8000-"+strconv.Itoa(100_000_000_000+i), "key-"+strconv.Itoa(i)
			a := loadgen.Attempt{Seq: uint64(i), Key: key, OrderID: id}
			skus := [2]string{"sku-" + strconv.Itoa(i%1000), "sku-" + strconv.Itoa(i%1000+1)}
			event, answer, payment := "e"+id, "a"+id, "p"+id
			for _, err := range []error{
				book.Attempt(a),
				book.Order(system.OrderRow{ID: id, Key: key, Status: "CONFIRMED"}),
				book.Movement(system.MovementRow{OrderID: id, SKU: skus[0], Kind: "reserve", Quantity: 1}),
				book.Movement(system.MovementRow{OrderID: id, SKU: skus[1], Kind: "reserve", Quantity: 1}),
				book.Movement(system.MovementRow{OrderID: id, SKU: skus[0], Kind: "sell", Quantity: 1}),
				book.Movement(system.MovementRow{OrderID: id, SKU: skus[1], Kind: "sell", Quantity: 1}),
				book.Charge(system.ChargeRow{OrderID: id, Key: id, Outcome: "captured", Cents: int64(i)}),
				book.Entry(system.EntryRow{OrderID: id, Transaction: payment, Account: "provider", Cents: int64(i)}),
				book.Entry(system.EntryRow{OrderID: id, Transaction: payment, Account: "sales", Cents: -int64(i)}),
				book.Notification(system.NotificationRow{OrderID: id, Kind: "confirmed"}),
				book.Outbox(system.OutboxRow{EventID: event, Key: id, Published: true}),
				book.Outbox(system.OutboxRow{EventID: answer, Key: id, Published: true}),
				book.Outbox(system.OutboxRow{EventID: payment, Key: id, Published: true}),
				book.Event(system.EventRow{EventID: event, OrderID: id, Type: "order.created"}),
				book.Event(system.EventRow{EventID: answer, OrderID: id, Type: "inventory.reserved"}),
				book.Event(system.EventRow{EventID: payment, OrderID: id, Type: "payment.captured"}),
			} {
				if err != nil {
					b.Fatal(err)
				}
			}
			quantity[skus[0]]++
			quantity[skus[1]]++
		}
		for sku, q := range quantity {
			if err := book.Stock(system.StockRow{SKU: sku, Initial: 2 * n, Available: 2*n - q, Sold: q}); err != nil {
				b.Fatal(err)
			}
		}
		j := book.Close(drained)
		if held := fared(j.Invariants, reports.Held); len(held) != len(j.Invariants) {
			b.Fatalf("%+v", j)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/run")
	b.ReportMetric(peakMiB(b), "peak-MiB")
}

// peakMiB is the high-water mark of the resident memory, on Linux.
func peakMiB(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.Sys) / (1 << 20)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmHWM:" {
			kib, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib / 1024
		}
	}
	return 0
}
