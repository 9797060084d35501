package gateway

import (
	"bytes"
	"context"
	"net"
	"strings"

	"github.com/ordbench/ordbench/system/telemetry"
)

// watched is a listener that puts on record what net/http refuses by itself,
// before any handler: a header that is too long, or no HTTP at all.
type watched struct {
	net.Listener
	audit *telemetry.Audit
}

func (l watched) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil || l.audit == nil {
		return c, err
	}
	return watchedConn{c, l.audit}, nil
}

type watchedConn struct {
	net.Conn
	audit *telemetry.Audit
}

// Write looks for the one form in which net/http refuses: no answer of ours
// is plain text that ends its connection.
func (c watchedConn) Write(b []byte) (int, error) {
	const errors = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	if status, _, found := bytes.Cut(b[:min(len(b), 200)], []byte(errors)); found && bytes.HasPrefix(status, []byte("HTTP/1.1 4")) {
		text := strings.TrimPrefix(string(status), "HTTP/1.1 ")
		client, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		c.audit.Refused(context.Background(), telemetry.Refusal{
			Reason: "protocol", Status: int(text[0]-'0')*100 + int(text[1]-'0')*10 + int(text[2]-'0'), Client: client, Detail: text,
		})
	}
	return c.Conn.Write(b)
}
