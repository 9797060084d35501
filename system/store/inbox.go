package store

import "fmt"

// FirstTime notes that consumer handles an event, and reports false when it
// was noted before: the event was delivered again and its effects are there.
// The note is part of the transaction, so it stands if and only if the
// effects that were written beside it do.
func (tx *Tx) FirstTime(consumer, eventID string) (bool, error) {
	res, err := tx.Exec(`INSERT INTO inbox (consumer, event_id) VALUES (?, ?)
		ON CONFLICT (consumer, event_id) DO NOTHING`, consumer, eventID)
	if err != nil {
		return false, fmt.Errorf("inbox: event %s: %w", eventID, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("inbox: event %s: %w", eventID, err)
	}
	return n == 1, nil
}
