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
// the one with the id keep, and says how many that were, how many others there
// are, and how the group was found: "Stable", "PreparingRebalance", or what
// else a broker calls it.
func (c *cluster) dismiss(ctx context.Context, group, clientID, keep string) (found company, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	addr, err := c.coordinator(ctx, group)
	if err != nil {
		return found, err
	}
	res, err := c.request(ctx, addr, &describegroups.Request{Groups: []string{group}})
	if err != nil {
		return found, err
	}
	var errs []error
	for _, g := range res.(*describegroups.Response).Groups {
		if code := kafka.Error(g.ErrorCode); code != 0 && code != kafka.GroupIdNotFound {
			errs = append(errs, fmt.Errorf("describe group %s: %w", group, code))
		}
		found.state = g.GroupState
		for _, m := range g.Members {
			if m.ClientID != clientID {
				found.others++
			} else if m.MemberID != keep {
				found.dismissed++
				errs = append(errs, c.leave(ctx, group, m.MemberID))
			}
		}
	}
	return found, errors.Join(errs...)
}

// company is a group as one of its members, or who is about to be one, finds it.
type company struct {
	state     string
	others    int
	dismissed int
}

// atWork says that a newcomer would interrupt others: not while they wait for
// each other anyway, or have just lost somebody.
func (c company) atWork() bool {
	return c.others > 0 && c.dismissed == 0 && c.state != "PreparingRebalance"
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
