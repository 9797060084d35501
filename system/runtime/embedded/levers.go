package embedded

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ordbench/ordbench/system/lever"
)

// brokerLevers are what can be made to go wrong inside a broker: requests are
// answered with an error of Kafka's, as a broker in trouble answers them.
func brokerLevers(c *kfake.Cluster) []*lever.Lever {
	requests := func(name string, keys ...kmsg.Key) *lever.Lever {
		return faulty(c, name, func(s *lever.Setting) kfake.Fault {
			topic := s.Topic
			if keys[0] == kmsg.OffsetCommit {
				topic = ""
			}
			return kfake.Fault{Keys: keys, Topic: topic, Err: codes[s.Code]}
		})
	}
	return []*lever.Lever{
		requests("broker.produce", kmsg.Produce),
		requests("broker.fetch", kmsg.Fetch),
		requests("broker.commit", kmsg.OffsetCommit),
		faulty(c, "broker.leader", func(*lever.Setting) kfake.Fault {
			return kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata, kmsg.Produce, kmsg.Fetch, kmsg.ListOffsets}, Err: kerr.LeaderNotAvailable}
		}),
		faulty(c, "broker.rebalance", func(s *lever.Setting) kfake.Fault {
			// Each storm lasts for as long as a heartbeat of every member
			// takes; in between the groups find together.
			began := time.Now()
			return kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Err: kerr.RebalanceInProgress, When: func(kmsg.Request) bool {
				return time.Since(began)%max(s.Every, time.Millisecond) < gust
			}}
		}),
	}
}

// gust is longer than the pause between two heartbeats of a member.
const gust = 600 * time.Millisecond

// codes are the errors that requests can be answered with.
var codes = map[string]*kerr.Error{}

func init() {
	for _, e := range []*kerr.Error{
		kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut, kerr.KafkaStorageError,
		kerr.NotLeaderForPartition, kerr.MessageTooLarge, kerr.UnknownTopicOrPartition,
		kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.RebalanceInProgress,
	} {
		codes[e.Message] = e
	}
}

// faulty is a lever that installs a fault in the cluster while it is set.
func faulty(c *kfake.Cluster, name string, fault func(*lever.Setting) kfake.Fault) *lever.Lever {
	var now atomic.Pointer[kfake.FaultHandle]
	return lever.New(name, func(s *lever.Setting) {
		if old := now.Swap(nil); old != nil {
			old.Remove()
		}
		if s == nil {
			return
		}
		f := fault(s)
		f.Count = -1
		when := f.When
		f.When = func(r kmsg.Request) bool {
			if when != nil && !when(r) || s.Share < 1 && rand.Float64() >= s.Share {
				return false
			}
			s.Count(1)
			return true
		}
		now.Store(c.Fault(f))
	})
}
