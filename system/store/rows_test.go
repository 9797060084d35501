package store

import (
	"fmt"
	"reflect"
	"testing"
)

func TestInsertsAreMerged(t *testing.T) {
	const (
		a     = `INSERT INTO a (x, y) VALUES ($1, $2)`
		b     = `INSERT INTO b (x) VALUES ($1), ($2)`
		other = `UPDATE a SET x = $1`
	)
	row := func(text string, args ...any) statement { return statement{text, args} }
	var many []statement
	for i := range 41 {
		many = append(many, row(a, i, -i))
	}
	flat := func(from, to int) (args []any) {
		for i := from; i < to; i++ {
			args = append(args, i, -i)
		}
		return args
	}
	in := parseInsert(a)
	for _, c := range []struct {
		name string
		give []statement
		want []statement
	}{
		{"nothing", nil, []statement{}},
		{"one", []statement{row(a, 1, 2)}, []statement{row(a, 1, 2)}},
		{
			"two, with two rows each",
			[]statement{row(b, 1, 2), row(b, 3, 4)},
			[]statement{row(`INSERT INTO b (x) VALUES ($1), ($2), ($3), ($4)`, 1, 2, 3, 4)},
		},
		{
			"two tables in turn",
			[]statement{row(a, 1, 2), row(b, 3, 4), row(a, 5, 6)},
			[]statement{row(`INSERT INTO a (x, y) VALUES ($1, $2), ($3, $4)`, 1, 2, 5, 6), row(b, 3, 4)},
		},
		{
			"not over what is no insert",
			[]statement{row(a, 1, 2), row(other, 3), row(a, 4, 5)},
			[]statement{row(a, 1, 2), row(other, 3), row(a, 4, 5)},
		},
		{"more than one statement holds", many, []statement{
			{in.repeat(a, 32), flat(0, 32)}, {in.repeat(a, 8), flat(32, 40)}, {a, flat(40, 41)},
		}},
	} {
		if got := mergeInserts(c.give); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestOnlyPlainInsertsAreMerged(t *testing.T) {
	for text, plain := range map[string]bool{
		`INSERT INTO a (x) VALUES ($1)`:                                         true,
		"INSERT INTO a (x, y)\n\t\tVALUES ($1, $2),\n\t\t\t($3, $4)":            true,
		`INSERT INTO a (x, y) VALUES ($1, 0)`:                                   false,
		`INSERT INTO a (x) VALUES ($1) ON CONFLICT (x) DO NOTHING`:              false,
		`INSERT INTO a (x) VALUES ($1) RETURNING id`:                            false,
		`INSERT INTO a (x) SELECT $1`:                                           false,
		`INSERT INTO a (x) SELECT $1 WHERE EXISTS (SELECT FROM b VALUES ($2))`:  false,
		`UPDATE a SET x = $1`:                                                   false,
		`BEGIN`:                                                                 false,
		`INSERT INTO outbox (event_id) SELECT event_id FROM unnest($1::text[])`: false,
	} {
		if got := parseInsert(text).plain; got != plain {
			t.Errorf("%s: plain is %v", text, got)
		}
	}
}

// What is merged is what was there: as many rows, numbered without a gap.
func FuzzMergeInserts(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 2, 1})
	f.Fuzz(func(t *testing.T, kinds []byte) {
		texts := []string{`INSERT INTO a (x) VALUES ($1)`, `INSERT INTO b (x) VALUES ($1)`, `DELETE FROM a WHERE x = $1`}
		var give []statement
		want := map[string][]any{}
		for i, k := range kinds {
			text := texts[int(k)%len(texts)]
			give = append(give, statement{text, []any{i}})
			want[text[:13]] = append(want[text[:13]], i)
		}
		got := map[string][]any{}
		for _, s := range mergeInserts(give) {
			for n := range s.args {
				if mark := fmt.Sprintf("$%d", n+1); len(placeholder.FindAllString(s.text, -1)) != len(s.args) || placeholder.FindAllString(s.text, -1)[n] != mark {
					t.Fatalf("%s has %d arguments", s.text, len(s.args))
				}
			}
			got[s.text[:13]] = append(got[s.text[:13]], s.args...)
		}
		if len(kinds) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
