package inside

import (
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// tableName is the one table that all of our rules stand in.
const tableName = "ordbench"

// Where an IPv4 header has its addresses.
const (
	sourceAt      = 12
	destinationAt = 16
	addressBytes  = 4
)

// dropPackets puts the rules in place, in one transaction with the end of
// those that were there.
func dropPackets(d Drop) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	old, err := findTable(c)
	if err != nil {
		return err
	}
	if old != nil {
		c.DelTable(old)
	}
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName})
	peers := &nftables.Set{Table: table, Name: "peers", KeyType: nftables.TypeIPAddr}
	elements := make([]nftables.SetElement, len(d.Peers))
	for i, p := range d.Peers {
		elements[i].Key = p.AsSlice()
	}
	if err := c.AddSet(peers, elements); err != nil {
		return err
	}
	chain := func(name string, hook *nftables.ChainHook, address uint32) {
		c.AddRule(&nftables.Rule{
			Table: table,
			Chain: c.AddChain(&nftables.Chain{Name: name, Table: table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityFilter}),
			Exprs: loses(peers, address, d.Share),
		})
	}
	if d.Received {
		chain("received", nftables.ChainHookInput, sourceAt)
	}
	if d.Sent {
		chain("sent", nftables.ChainHookOutput, destinationAt)
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("set packet rules: %w", err)
	}
	return nil
}

// loses drops a share of the packets with one of the peers at an offset.
func loses(peers *nftables.Set, address uint32, share float64) []expr.Any {
	const of = 1 << 24
	rule := []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: address, Len: addressBytes},
		&expr.Lookup{SourceRegister: 1, SetName: peers.Name, SetID: peers.ID},
	}
	if share < 1 {
		below := uint32(max(1, math.Round(share*of)))
		rule = append(rule,
			&expr.Numgen{Register: 1, Modulus: of, Type: unix.NFT_NG_RANDOM},
			&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
			&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binaryutil.BigEndian.PutUint32(below)},
		)
	}
	return append(rule, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop})
}

// findTable is our table; nil: there is none.
func findTable(c *nftables.Conn) (*nftables.Table, error) {
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return nil, fmt.Errorf("list packet rules: %w", err)
	}
	for _, t := range tables {
		if t.Name == tableName {
			return t, nil
		}
	}
	return nil, nil
}

// droppedPackets adds up the counters of the rules.
func droppedPackets() (n int64, err error) {
	c, err := nftables.New()
	if err != nil {
		return 0, err
	}
	chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return 0, fmt.Errorf("count packets: %w", err)
	}
	for _, chain := range chains {
		if chain.Table.Name != tableName {
			continue
		}
		rules, err := c.GetRules(chain.Table, chain)
		if err != nil {
			return 0, fmt.Errorf("count packets: %w", err)
		}
		for _, r := range rules {
			for _, e := range r.Exprs {
				if counter, ok := e.(*expr.Counter); ok {
					n += int64(counter.Packets)
				}
			}
		}
	}
	return n, nil
}

// passPackets removes the table, and sees it gone.
func passPackets() error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	table, err := findTable(c)
	if err != nil || table == nil {
		return err
	}
	c.DelTable(table)
	if err := c.Flush(); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove packet rules: %w", err)
	}
	if table, err = findTable(c); err == nil && table != nil {
		err = errors.New("the packet rules are still there")
	}
	return err
}
