package order

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ordbench/ordbench/system/endpoint"
)

const (
	pageSize    = 20 // orders, unless limit says otherwise
	longestPage = 100
)

// Ids are in the order of time, so they are the order of the list and its
// cursor: a page does not move when orders are placed in front of it.
const (
	selectNewest = `SELECT id, user_id, total_cents, items, status, version, created_at, updated_at FROM orders
		WHERE user_id = ? ORDER BY id DESC LIMIT ?`
	selectOlder = `SELECT id, user_id, total_cents, items, status, version, created_at, updated_at FROM orders
		WHERE user_id = ? AND id < ? ORDER BY id DESC LIMIT ?`
)

// page is a part of a customer's orders, the newest first.
type page struct {
	Orders []view `json:"orders"`
	Next   string `json:"next,omitempty"` // the cursor of the page after this one; "" if this is the last
}

// query is what a list asks for.
type query struct {
	userID string
	before string // an order; "": from the newest on
	limit  int
}

// list answers GET /orders?user_id=..&cursor=..&limit=..
func (a *api) list(w http.ResponseWriter, r *http.Request) {
	q, err := readQuery(r.URL.Query())
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	if !endpoint.MayActFor(r, q.userID) {
		a.refuse(w, r, errNotYours)
		return
	}
	found, err := a.book.list(r.Context(), q)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	endpoint.WriteJSON(w, http.StatusOK, found)
}

// readQuery reads what a list asks for. The error is a badRequest.
func readQuery(values url.Values) (query, error) {
	q := query{userID: values.Get("user_id"), limit: pageSize}
	var problems badRequest
	if q.userID == "" || len(q.userID) > maxUserID {
		problems = append(problems, fmt.Sprintf("user_id must have 1 to %d bytes", maxUserID))
	}
	if text := values.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > longestPage {
			problems = append(problems, fmt.Sprintf("limit must be 1 to %d", longestPage))
		}
		q.limit = n
	}
	if text := values.Get("cursor"); text != "" {
		id, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || uuid.Validate(string(id)) != nil {
			problems = append(problems, "cursor is not one that a list has given out")
		}
		q.before = string(id)
	}
	if problems != nil {
		return query{}, problems
	}
	return q, nil
}

// list reads one page. One more than asked for says whether there is another.
func (b *book) list(ctx context.Context, q query) (page, error) {
	text, args := selectNewest, []any{q.userID, q.limit + 1}
	if q.before != "" {
		text, args = selectOlder, []any{q.userID, q.before, q.limit + 1}
	}
	rows, err := b.db.Query(ctx, text, args...)
	if err != nil {
		return page{}, fmt.Errorf("list orders: %w", err)
	}
	defer rows.Close()
	p := page{Orders: []view{}}
	for rows.Next() {
		var v view
		var items string
		var createdAt, updatedAt int64
		if err := rows.Scan(&v.ID, &v.UserID, &v.Total, &items, &v.Status, &v.Version, &createdAt, &updatedAt); err != nil {
			return page{}, fmt.Errorf("list orders: %w", err)
		}
		v.Items = json.RawMessage(items)
		v.CreatedAt, v.UpdatedAt = time.UnixMicro(createdAt).UTC(), time.UnixMicro(updatedAt).UTC()
		p.Orders = append(p.Orders, v)
	}
	if err := rows.Err(); err != nil {
		return page{}, fmt.Errorf("list orders: %w", err)
	}
	if len(p.Orders) > q.limit {
		p.Orders = p.Orders[:q.limit]
		p.Next = base64.RawURLEncoding.EncodeToString([]byte(p.Orders[q.limit-1].ID))
	}
	return p, nil
}
