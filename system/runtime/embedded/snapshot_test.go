package embedded

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

func TestSnapshotCountsTheTimeThatTheCacheWasDown(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := miniredis.NewMiniRedis()
	m.Set("minute", "1")
	m.SetTTL("minute", time.Minute)
	m.Set("hour", "1")
	m.SetTTL("hour", time.Hour)
	m.DB(15).Set("elsewhere", "1")

	back := miniredis.NewMiniRedis()
	if err := takeSnapshot(m, start).restore(back, start.Add(10*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if back.Exists("minute") {
		t.Error("a key came back after its time")
	}
	if ttl := back.TTL("hour"); ttl != 50*time.Minute {
		t.Errorf("hour has %v left, want 50m", ttl)
	}
	if v, err := back.DB(15).Get("elsewhere"); v != "1" || err != nil {
		t.Errorf("database 15: %q, %v", v, err)
	}
}

func TestSnapshotLeavesOutWhatItCannotKeep(t *testing.T) {
	m := miniredis.NewMiniRedis()
	if _, err := m.XAdd("stream", "1-1", []string{"f", "v"}); err != nil {
		t.Fatal(err)
	}
	m.Set("kept", "")
	s := takeSnapshot(m, time.Now())
	if len(s.Keys) != 1 || string(s.Keys[0].Key) != "kept" {
		t.Errorf("snapshot %+v", s)
	}
}

func TestSnapshotThatNobodyWroteIsRefused(t *testing.T) {
	tests := map[string]struct{ raw, want string }{
		"not JSON":               {`x`, "invalid"},
		"of another version":     {`{"version":2}`, "version 2"},
		"unknown type":           {`{"version":1,"keys":[{"type":"stream","values":["YQ=="]}]}`, `type "stream"`},
		"string without a value": {`{"version":1,"keys":[{"type":"string"}]}`, "string of 0 values"},
		"half a pair":            {`{"version":1,"keys":[{"type":"hash","values":["YQ=="]}]}`, "hash of 1 values"},
		"score that is no score": {`{"version":1,"keys":[{"type":"zset","values":["YQ==","YQ=="]}]}`, `score "a"`},
		"no such database":       {`{"version":1,"keys":[{"database":16,"type":"set","values":["YQ=="]}]}`, "database 16"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := decodeSnapshot([]byte(test.raw)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}

func FuzzDecodeSnapshot(f *testing.F) {
	f.Add([]byte(`{"version":1,"keys":[{"key":"YQ==","type":"string","expires_at_us":1900000000000000,"values":["YQ=="]}]}`))
	f.Add([]byte(`{"version":1,"keys":[{"key":"YQ==","type":"zset","values":["YQ==","MC4x"]},{"key":"YQ==","type":"hash","values":["YQ==","MC4x"]}]}`))
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := decodeSnapshot(raw)
		if err != nil {
			return
		}
		m := miniredis.NewMiniRedis()
		now := time.UnixMicro(0)
		if s.restore(m, now) != nil { // one key as two types
			return
		}
		// What was restored is what is saved again.
		taken := takeSnapshot(m, now)
		again := miniredis.NewMiniRedis()
		if err := taken.restore(again, now); err != nil {
			t.Fatal(err)
		}
		if first, second := canonical(t, taken), canonical(t, takeSnapshot(again, now)); !reflect.DeepEqual(first, second) {
			t.Fatalf("saved %s\nthen %s", first, second)
		}
	})
}

// canonical ignores the order of keys and of members, which is random.
func canonical(t *testing.T, s snapshot) []string {
	t.Helper()
	var keys []string
	for _, k := range s.Keys {
		if k.Type != "list" {
			size := 1
			if k.Type == "hash" || k.Type == "zset" {
				size = 2
			}
			chunks := slices.SortedFunc(slices.Chunk(k.Values, size), func(a, b [][]byte) int {
				return strings.Compare(string(a[0]), string(b[0]))
			})
			k.Values = slices.Concat(chunks...)
		}
		raw, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, string(raw))
	}
	slices.Sort(keys)
	return keys
}
