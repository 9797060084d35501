package inside

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
)

// handleMajor marks the queueing discipline that is ours.
const handleMajor = 0x0bbe

// delayPackets puts a netem queue in front of every interface but the
// loopback. Where somebody else has put a queue it refuses: to replace it
// would drop packets that are not ours to drop.
func delayPackets(d Delay) error {
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	delayed := 0
	for _, link := range links {
		if link.Attrs().Flags&net.FlagLoopback != 0 {
			continue
		}
		if err := freeOfOthers(link); err != nil {
			return errors.Join(err, undelayPackets())
		}
		q := netlink.NewNetem(netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(handleMajor, 0), Parent: netlink.HANDLE_ROOT},
			netlink.NetemQdiscAttrs{Latency: uint32(d.By.Microseconds()), Jitter: uint32(d.Jitter.Microseconds())})
		if err := netlink.QdiscReplace(q); err != nil {
			if errors.Is(err, os.ErrNotExist) {
				err = errors.New("this kernel has no netem (sch_netem)")
			}
			return errors.Join(fmt.Errorf("delay what %s sends: %w", link.Attrs().Name, err), undelayPackets())
		}
		delayed++
	}
	if delayed == 0 {
		return errors.New("there is no interface to delay")
	}
	return nil
}

// freeOfOthers fails where an interface has a root queue that is neither the
// kernel's own nor ours.
func freeOfOthers(link netlink.Link) error {
	queues, err := netlink.QdiscList(link)
	if err != nil {
		return err
	}
	for _, q := range queues {
		a := q.Attrs()
		if a.Parent == netlink.HANDLE_ROOT && a.Handle != 0 && a.Handle != netlink.MakeHandle(handleMajor, 0) {
			return fmt.Errorf("%s has a %s queue of somebody else", link.Attrs().Name, q.Type())
		}
	}
	return nil
}

// undelayPackets removes our queues and no others.
func undelayPackets() error {
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	var errs []error
	for _, link := range links {
		queues, err := netlink.QdiscList(link)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, q := range queues {
			if q.Attrs().Handle == netlink.MakeHandle(handleMajor, 0) {
				errs = append(errs, netlink.QdiscDel(q))
			}
		}
	}
	return errors.Join(errs...)
}
