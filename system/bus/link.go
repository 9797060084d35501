package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
)

// clientID is how this program introduces itself to brokers.
const clientID = "ordbench"

// link is one connection to one broker, with one request under way at a time.
type link struct {
	conn  *protocol.Conn
	spent bool // an exchange was cut off: the next answer would be the wrong one
}

// connect opens a link and agrees on the versions of the protocol.
func connect(ctx context.Context, d *dialer, addr string) (*link, error) {
	conn, err := d.dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	l := &link{conn: protocol.NewConn(conn, clientID)}
	res, err := l.exchange(ctx, &apiversions.Request{})
	if err != nil {
		l.close()
		return nil, fmt.Errorf("agree on versions with %s: %w", addr, err)
	}
	answer := res.(*apiversions.Response)
	if answer.ErrorCode != 0 {
		l.close()
		return nil, fmt.Errorf("agree on versions with %s: %w", addr, kafka.Error(answer.ErrorCode))
	}
	versions := make(map[protocol.ApiKey]int16, len(answer.ApiKeys))
	for _, k := range answer.ApiKeys {
		key := protocol.ApiKey(k.ApiKey)
		versions[key] = key.SelectVersion(k.MinVersion, k.MaxVersion)
	}
	l.conn.SetVersions(versions)
	return l, nil
}

// exchange sends req and waits for the answer, no longer than ctx lasts. A
// link that is spent afterwards must be closed.
func (l *link) exchange(ctx context.Context, req protocol.Message) (protocol.Message, error) {
	release := context.AfterFunc(ctx, func() { _ = l.conn.SetDeadline(time.Unix(1, 0)) })
	res, err := l.conn.RoundTrip(req)
	cut := !release()
	l.spent = cut || err != nil
	if err != nil && cut {
		return nil, fmt.Errorf("%s %s: %w", req.ApiKey(), l.conn.RemoteAddr(), ctx.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", req.ApiKey(), l.conn.RemoteAddr(), err)
	}
	return res, nil
}

func (l *link) close() { _ = l.conn.Close() }
