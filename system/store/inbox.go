package store

import "fmt"

// FirstTime notes that consumer handles an event, and reports false when it
// was noted before: the event was delivered again and its effects are there.
// The note is part of the transaction, so it stands if and only if the
// effects that were written beside it do.
func (tx *Tx) FirstTime(consumer, eventID string) (bool, error) {
	first, err := tx.FirstTimes(consumer, []string{eventID})
	if err != nil {
		return false, err
	}
	return first[0], nil
}

// FirstTimes is FirstTime for each of eventIDs, in one go. Of an event that is
// there twice the second time is not the first.
func (tx *Tx) FirstTimes(consumer string, eventIDs []string) ([]bool, error) {
	if err := tx.open(); err != nil {
		return nil, err
	}
	first, err := tx.s.firstTimes(consumer, eventIDs)
	if tx.note(err) != nil {
		return nil, fmt.Errorf("inbox: %w", err)
	}
	return first, nil
}
