package events

import (
	"encoding/json"
	"testing"
	"time"
)

func TestMoneyIsExact(t *testing.T) {
	tests := []struct {
		in   string
		want Money
		ok   bool
	}{
		{"0", 0, true},
		{"19.99", 1999, true},
		{"0.1", 10, true},
		{"12.3000", 1230, true},
		{"-0.05", -5, true},
		{"92233720368547.75", 9223372036854775, true},
		{"11529215046068469.76", 1 << 60, true},
		{"11529215046068469.77", 0, false},
		{"99999999999999999999999999", 0, false},
		{"0.001", 0, false},
		{"1e3", 0, false},
		{"true", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			var got Money
			err := json.Unmarshal([]byte(tt.in), &got)
			if (err == nil) != tt.ok || got != tt.want {
				t.Fatalf("got %d, %v; want %d", got, err, tt.want)
			}
		})
	}
}

func TestMoneyHasTwoDigits(t *testing.T) {
	for in, want := range map[Money]string{0: "0.00", 5: "0.05", -5: "-0.05", 1230: "12.30", -123456: "-1234.56"} {
		if in.String() != want {
			t.Errorf("%d cents: %s, want %s", int64(in), in, want)
		}
	}
}

func TestTimestampKeepsMicroseconds(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 123456789, time.UTC)
	b, err := json.Marshal(At(at))
	if err != nil || string(b) != "1777636800.123456" {
		t.Fatalf("%s, %v", b, err)
	}
	var back Timestamp
	if err := json.Unmarshal([]byte("1777636800.1234569"), &back); err != nil {
		t.Fatal(err)
	}
	if want := at.Truncate(time.Microsecond); !back.Time().Equal(want) {
		t.Errorf("%v, want %v", back.Time(), want)
	}
}
