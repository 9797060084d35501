package system

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/events"
)

// Bookkeepers are the components that keep a database.
func Bookkeepers() []Component { return []Component{Order, Inventory, Payment, Notification} }

// Undecodable is the type that Audit gives a message that is no event.
const Undecodable = "undecodable"

// Audit reads the system's books and hands a every row of them: the orders,
// the stock with its movements, the provider's charges and the ledger, the
// notifications, the outboxes and inboxes, all that is in the topics, and what
// was given up.
// It reads the databases and the broker themselves, not the services' word,
// and works with any of the services down. Each database is read as it was at
// one moment, and effects are read before what caused them: in a system that
// moves, an effect without its cause is wrong at once, while a cause without
// its effect may only be on its way. ctx should have a deadline: a broker that
// is away is waited for.
func (s *Stack) Audit(ctx context.Context, a Auditor) error {
	topic := func(name string) error {
		err := bus.ReadTopic(ctx, s.fleet.Brokers(), name, func(m bus.Message) error { return a.Event(eventRow(m)) })
		if err != nil {
			return fmt.Errorf("audit %s: %w", name, err)
		}
		return nil
	}
	book := func(c Component) error {
		if err := s.auditBook(ctx, c, a); err != nil {
			return fmt.Errorf("audit the books of %s: %w", c, err)
		}
		return nil
	}
	for _, read := range []func() error{
		func() error { return book(Notification) },
		func() error { return topic(events.PaymentTopic) },
		func() error { return book(Payment) },
		func() error { return topic(events.InventoryTopic) },
		func() error { return book(Inventory) },
		func() error { return topic(events.CancellationsTopic) },
		func() error { return topic(events.OrdersTopic) },
		func() error { return book(Order) },
		func() error { return s.auditDead(ctx, a) }, // last: they excuse what did not happen
	} {
		if err := read(); err != nil {
			return err
		}
	}
	return nil
}

// auditDead reads what was given up.
func (s *Stack) auditDead(ctx context.Context, a Auditor) error {
	if !s.cfg.Patterns.DeadLetters {
		return nil
	}
	if err := s.eachDeadLetter(ctx, func(d DeadLetter, _ bus.Message) error { return a.DeadLetter(d) }); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// eventRow is a message as the audit sees it. What is no event is kept, as of
// no known type and of the order that its key names.
func eventRow(m bus.Message) EventRow {
	row := EventRow{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Type: Undecodable, OrderID: m.Key}
	if e, err := events.Decode(m.Value); err == nil {
		row.EventID, row.Type, row.OrderID = e.EventID, e.Type, e.OrderID
	}
	return row
}

// database opens a service's database for reading, once.
func (s *Stack) database(ctx context.Context, c Component) (*sql.DB, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, errClosing
	}
	if db := s.books[c]; db != nil {
		return db, nil
	}
	db, err := s.fleet.Database(ctx, c)
	if err != nil {
		return nil, err
	}
	s.books[c] = db
	return db, nil
}

// auditBook reads one database, in one transaction.
func (s *Stack) auditBook(ctx context.Context, c Component, a Auditor) error {
	db, err := s.database(ctx, c)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // it has only read
	switch c {
	case Order:
		err = auditOrders(ctx, tx, a)
	case Inventory:
		err = auditStock(ctx, tx, a)
	case Payment:
		err = auditPayments(ctx, tx, a)
	case Notification:
		err = auditNotifications(ctx, tx, a)
	}
	if err != nil {
		return err
	}
	if err := auditInbox(ctx, tx, a); err != nil {
		return err
	}
	if s.cfg.Consistency == Consistency2PC {
		if err := auditInDoubt(ctx, tx, c, a); err != nil {
			return err
		}
	}
	return auditOutbox(ctx, tx, c, a)
}

func auditInbox(ctx context.Context, tx *sql.Tx, a Auditor) error {
	return each(ctx, tx, `SELECT consumer, count(*) FROM inbox GROUP BY consumer`, func(scan func(...any) error) error {
		var r InboxRow
		if err := scan(&r.Group, &r.Seen); err != nil {
			return err
		}
		return a.Inbox(r)
	})
}

// auditInDoubt reads what is promised and not ended: the branches of a
// database, and the decisions that somebody was not told of.
func auditInDoubt(ctx context.Context, tx *sql.Tx, c Component, a Auditor) error {
	for what, query := range inDoubt(c) {
		err := each(ctx, tx, query, func(scan func(...any) error) error {
			r := InDoubtRow{Owner: string(c), What: what}
			if err := scan(&r.Name); err != nil {
				return err
			}
			return a.InDoubt(r)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// inDoubt are the queries for what is in doubt in the database of c, by what
// they find.
func inDoubt(c Component) map[string]string {
	queries := map[string]string{"prepared": `SELECT gid FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared`}
	switch c {
	case Order:
		queries["decided, and not told to all"] = `SELECT order_id FROM decisions WHERE settled_at IS NULL ORDER BY decided_at`
	case Payment:
		queries["money held"] = `SELECT order_id FROM provider_charges WHERE outcome = 'held' ORDER BY at`
	}
	return queries
}

func auditOrders(ctx context.Context, tx *sql.Tx, a Auditor) error {
	return each(ctx, tx, `SELECT id, coalesce(unused_key, idempotency_key), user_id, status, version, cancelled_at IS NOT NULL, created_at, updated_at FROM orders`,
		func(scan func(...any) error) error {
			var r OrderRow
			var key sql.NullString
			var created, updated int64
			if err := scan(&r.ID, &key, &r.UserID, &r.Status, &r.Version, &r.Cancelled, &created, &updated); err != nil {
				return err
			}
			r.Key, r.CreatedAt, r.UpdatedAt = key.String, time.UnixMicro(created), time.UnixMicro(updated)
			return a.Order(r)
		})
}

func auditStock(ctx context.Context, tx *sql.Tx, a Auditor) error {
	err := each(ctx, tx, `SELECT sku, initial, available, reserved, sold FROM stock`,
		func(scan func(...any) error) error {
			var r StockRow
			if err := scan(&r.SKU, &r.Initial, &r.Available, &r.Reserved, &r.Sold); err != nil {
				return err
			}
			return a.Stock(r)
		})
	if err != nil {
		return err
	}
	return each(ctx, tx, `SELECT order_id, event_id, sku, kind, quantity, at FROM movements ORDER BY id`,
		func(scan func(...any) error) error {
			var r MovementRow
			var at int64
			if err := scan(&r.OrderID, &r.EventID, &r.SKU, &r.Kind, &r.Quantity, &at); err != nil {
				return err
			}
			r.At = time.UnixMicro(at)
			return a.Movement(r)
		})
}

func auditPayments(ctx context.Context, tx *sql.Tx, a Auditor) error {
	err := each(ctx, tx, `SELECT order_id, key, outcome, amount_cents, at FROM provider_charges`,
		func(scan func(...any) error) error {
			var r ChargeRow
			var at int64
			if err := scan(&r.OrderID, &r.Key, &r.Outcome, &r.Cents, &at); err != nil {
				return err
			}
			r.At = time.UnixMicro(at)
			return a.Charge(r)
		})
	if err != nil {
		return err
	}
	return each(ctx, tx, `SELECT transaction_id, order_id, account, amount_cents, at FROM entries ORDER BY id`,
		func(scan func(...any) error) error {
			var r EntryRow
			var at int64
			if err := scan(&r.Transaction, &r.OrderID, &r.Account, &r.Cents, &at); err != nil {
				return err
			}
			r.At = time.UnixMicro(at)
			return a.Entry(r)
		})
}

func auditNotifications(ctx context.Context, tx *sql.Tx, a Auditor) error {
	return each(ctx, tx, `SELECT order_id, user_id, kind, event_id, at FROM notifications ORDER BY id`,
		func(scan func(...any) error) error {
			var r NotificationRow
			var at int64
			if err := scan(&r.OrderID, &r.UserID, &r.Kind, &r.EventID, &at); err != nil {
				return err
			}
			r.At = time.UnixMicro(at)
			return a.Notification(r)
		})
}

func auditOutbox(ctx context.Context, tx *sql.Tx, owner Component, a Auditor) error {
	return each(ctx, tx, `SELECT event_id, topic, key, published_at IS NOT NULL FROM outbox ORDER BY id`,
		func(scan func(...any) error) error {
			r := OutboxRow{Owner: string(owner)}
			if err := scan(&r.EventID, &r.Topic, &r.Key, &r.Published); err != nil {
				return err
			}
			return a.Outbox(r)
		})
}

// each hands fn every row of a query.
func each(ctx context.Context, tx *sql.Tx, query string, fn func(scan func(...any) error) error) error {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
