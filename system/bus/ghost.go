package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/describegroups"
	"github.com/segmentio/kafka-go/protocol/leavegroup"
)

// A ghost is a member that is gone and that its group still waits for: every
// rebalance takes the whole session timeout until the coordinator gives it
// up. Kafka's cure is static membership, which kafka-go does not have; here a
// consumer says goodbye for its own ghosts, which it knows by their client id.

// dismiss takes the members of group that carry clientID out of it, all but
// the one with the id keep.
func (c *cluster) dismiss(ctx context.Context, group, clientID, keep string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	addr, err := c.coordinator(ctx, group)
	if err != nil {
		return err
	}
	res, err := c.request(ctx, addr, &describegroups.Request{Groups: []string{group}})
	if err != nil {
		return err
	}
	var errs []error
	for _, g := range res.(*describegroups.Response).Groups {
		if code := kafka.Error(g.ErrorCode); code != 0 && code != kafka.GroupIdNotFound {
			errs = append(errs, fmt.Errorf("describe group %s: %w", group, code))
		}
		for _, m := range g.Members {
			if m.ClientID == clientID && m.MemberID != keep {
				errs = append(errs, c.leave(ctx, group, m.MemberID))
			}
		}
	}
	return errors.Join(errs...)
}

// leave says goodbye for one member, which need not be known any more.
func (c *cluster) leave(ctx context.Context, group, memberID string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	addr, err := c.coordinator(ctx, group)
	if err != nil {
		return err
	}
	res, err := c.request(ctx, addr, &leavegroup.Request{
		GroupID: group,
		Members: []leavegroup.RequestMember{{MemberID: memberID}},
	})
	if err != nil {
		return err
	}
	answer := res.(*leavegroup.Response)
	codes := []int16{answer.ErrorCode}
	for _, m := range answer.Members {
		codes = append(codes, m.ErrorCode)
	}
	for _, code := range codes {
		if code := kafka.Error(code); code != 0 && code != kafka.UnknownMemberId {
			return fmt.Errorf("leave group %s as %s: %w", group, memberID, code)
		}
	}
	return nil
}
