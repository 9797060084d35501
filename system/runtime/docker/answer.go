package docker

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

// Questions that a server answers as soon as it can do its work.
const (
	// kafkaQuestion is an ApiVersions request, version 0. A broker takes no
	// request before it has caught up with its cluster.
	kafkaQuestion = "\x00\x00\x00\x0a" + "\x00\x12\x00\x00" + "\x00\x00\x00\x01" + "\xff\xff"
	// redisQuestion reads a key: while Redis loads its data it answers PING
	// with an error too, but a read says it of every version.
	redisQuestion = "*2\r\n$6\r\nEXISTS\r\n$1\r\nx\r\n"
)

// answers asks the server at addr, over a connection of its own: the port may
// be open although nobody stands behind it.
func answers(ctx context.Context, addr, question string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() {
		_ = c.SetDeadline(time.Unix(1, 0)) // fails only on a connection that is closed already
	})
	defer stop()
	if _, err := io.WriteString(c, question); err != nil {
		return err
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(c, answer); err != nil {
		return fmt.Errorf("%s does not answer yet", addr)
	}
	if answer[0] == '-' {
		return fmt.Errorf("%s is loading its data", addr)
	}
	return nil
}
