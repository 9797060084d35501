package docker

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/ordbench/ordbench/system"
)

// unknownVersion stands for what a server does not tell.
const unknownVersion = "version unknown"

// Infrastructure asks the servers themselves what they are.
func (f *fleet) Infrastructure(ctx context.Context) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	say := func(product, version, image string) string {
		if version == "" {
			version = unknownVersion
		}
		return fmt.Sprintf("%s %s (%s)", product, version, image)
	}
	found := map[string]string{}
	for _, r := range f.replicas {
		switch {
		case r.Component == system.Broker && found["broker"] == "":
			found["broker"] = say("Apache Kafka", kafkaVersion(f.logPath(r.Name)), f.images.kafka)
		case r.Component == system.Cache:
			found["cache"] = say("Redis", redisVersion(ctx, r.Addr), f.images.redis)
		case r.Component == system.Database:
			found["database"] = say("PostgreSQL", f.postgresVersion(ctx), f.images.postgres)
		}
	}
	if f.collects != nil {
		found["collector"] = f.collects.Image
	}
	if n := f.cfg.Slots(system.Broker); n > 1 {
		found["broker"] += fmt.Sprintf(", %d brokers", n)
	}
	return found
}

// kafkaVersion is what a broker said at its start: its protocol does not tell.
func kafkaVersion(log string) string {
	file, err := os.Open(log)
	if err != nil {
		return ""
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if _, version, ok := strings.Cut(lines.Text(), "Kafka version: "); ok {
			version, _, _ = strings.Cut(version, " ")
			return version
		}
	}
	return ""
}

func redisVersion(ctx context.Context, addr string) string {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return ""
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second)) // a connection that is closed fails to read too
	if _, err := c.Write([]byte("INFO server\r\n")); err != nil {
		return ""
	}
	for lines := bufio.NewScanner(c); lines.Scan(); {
		if version, ok := strings.CutPrefix(lines.Text(), "redis_version:"); ok {
			return strings.TrimSpace(version)
		}
	}
	return ""
}

func (f *fleet) postgresVersion(ctx context.Context) string {
	version := ""
	if f.server == nil || f.server.QueryRowContext(ctx, "SHOW server_version").Scan(&version) != nil {
		return ""
	}
	version, _, _ = strings.Cut(version, " ")
	return version
}
