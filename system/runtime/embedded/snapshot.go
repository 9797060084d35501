package embedded

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/alicebob/miniredis/v2"
)

const (
	snapshotVersion = 1
	databases       = 16 // that a client can SELECT, as with Redis
)

// snapshot is what the cache holds at one time. Each key is read whole, but
// one after the other: a snapshot never shows a half-written key, and may
// show one key as it was a moment before another.
type snapshot struct {
	Version int     `json:"version"`
	Keys    []saved `json:"keys"`
}

// saved is one key. Keys and values are bytes and not always text.
type saved struct {
	Database    int      `json:"database"`
	Key         []byte   `json:"key"`
	Type        string   `json:"type"`                    // string, hash, list, set, zset
	ExpiresAtUS int64    `json:"expires_at_us,omitempty"` // Unix time in microseconds; 0: never
	Values      [][]byte `json:"values"`                  // a hash has field, value, ...; a zset has member, score, ...
}

// takeSnapshot reads what m holds; now is the time up to which its keys have
// aged.
func takeSnapshot(m *miniredis.Miniredis, now time.Time) snapshot {
	s := snapshot{Version: snapshotVersion}
	for id := range databases {
		db := m.DB(id)
		for _, key := range db.Keys() {
			k := saved{Database: id, Key: []byte(key), Type: db.Type(key)}
			// The expiry first: a key that expires after this has no
			// values, where one that expired before would seem to
			// live for ever.
			if ttl := db.TTL(key); ttl > 0 {
				k.ExpiresAtUS = now.Add(ttl).UnixMicro()
			}
			if k.Values = values(db, key, k.Type); k.Values != nil {
				s.Keys = append(s.Keys, k)
			}
		}
	}
	return s
}

// values is nil when the key is gone or of a type that is not kept.
func values(db *miniredis.RedisDB, key, typ string) (vs [][]byte) {
	switch typ {
	case "string":
		if v, err := db.Get(key); err == nil {
			vs = append(vs, []byte(v))
		}
	case "hash":
		fields, _ := db.HKeys(key)
		for _, f := range fields {
			vs = append(vs, []byte(f), []byte(db.HGet(key, f)))
		}
	case "list":
		items, _ := db.List(key)
		for _, v := range items {
			vs = append(vs, []byte(v))
		}
	case "set":
		members, _ := db.Members(key)
		for _, v := range members {
			vs = append(vs, []byte(v))
		}
	case "zset":
		scores, _ := db.SortedSet(key)
		for member, score := range scores {
			vs = append(vs, []byte(member), strconv.AppendFloat(nil, score, 'g', -1, 64))
		}
	}
	return vs
}

func (s snapshot) encode() ([]byte, error) { return json.Marshal(s) }

// decodeSnapshot refuses what encode cannot have written.
func decodeSnapshot(raw []byte) (snapshot, error) {
	var s snapshot
	if err := json.Unmarshal(raw, &s); err != nil {
		return snapshot{}, fmt.Errorf("decode snapshot: %w", err)
	}
	if s.Version != snapshotVersion {
		return snapshot{}, fmt.Errorf("decode snapshot: version %d, want %d", s.Version, snapshotVersion)
	}
	for i, k := range s.Keys {
		if err := k.check(); err != nil {
			return snapshot{}, fmt.Errorf("decode snapshot: key %d, %q: %w", i, k.Key, err)
		}
	}
	return s, nil
}

func (k saved) check() error {
	if k.Database < 0 || k.Database >= databases {
		return fmt.Errorf("database %d", k.Database)
	}
	n := len(k.Values)
	var ok bool
	switch k.Type {
	case "string":
		ok = n == 1
	case "list", "set":
		ok = n > 0
	case "hash", "zset":
		ok = n > 0 && n%2 == 0
	default:
		return fmt.Errorf("type %q", k.Type)
	}
	if !ok {
		return fmt.Errorf("%s of %d values", k.Type, n)
	}
	if k.Type == "zset" {
		for pair := range slices.Chunk(k.Values, 2) {
			if _, err := strconv.ParseFloat(string(pair[1]), 64); err != nil {
				return fmt.Errorf("score %q", pair[1])
			}
		}
	}
	return nil
}

// restore puts into m what has not expired at now.
func (s snapshot) restore(m *miniredis.Miniredis, now time.Time) error {
	for _, k := range s.Keys {
		var ttl time.Duration
		if k.ExpiresAtUS != 0 {
			if ttl = time.UnixMicro(k.ExpiresAtUS).Sub(now); ttl <= 0 {
				continue
			}
		}
		if err := k.restore(m.DB(k.Database)); err != nil {
			return fmt.Errorf("restore key %q: %w", k.Key, err)
		}
		if ttl > 0 {
			m.DB(k.Database).SetTTL(string(k.Key), ttl)
		}
	}
	return nil
}

func (k saved) restore(db *miniredis.RedisDB) (err error) {
	key := string(k.Key)
	vs := make([]string, len(k.Values))
	for i, v := range k.Values {
		vs[i] = string(v)
	}
	switch k.Type {
	case "string":
		err = db.Set(key, vs[0])
	case "hash":
		db.HSet(key, vs...)
	case "list":
		_, err = db.Push(key, vs...)
	case "set":
		_, err = db.SetAdd(key, vs...)
	case "zset":
		for pair := range slices.Chunk(vs, 2) {
			score, _ := strconv.ParseFloat(pair[1], 64) // checked when decoded
			if _, err = db.ZAdd(key, score, pair[0]); err != nil {
				break
			}
		}
	}
	return err
}
