package chaos

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// tank is volumes in containers, of a size that is the same for all.
type tank struct {
	onRuntime
	bytes int64
	fills int
}

func (t *tank) VolumeBytes(string) int64 { return t.bytes }

func (t *tank) FillVolume(context.Context, string, int64) (string, error) {
	t.fills++
	return "full", nil
}

func (*tank) ClearVolume(context.Context, string) (string, error) { return "free again", nil }

func TestVolumesAreFilledOnlyWhereTheyHaveASize(t *testing.T) {
	for _, row := range []struct {
		bytes int64
		says  string // "": it is filled
	}{
		{0, "system.database.volume_size"},
		{4096, "4KiB is not less than the volume holds"},
		{1 << 20, ""},
	} {
		system := &tank{onRuntime: onRuntime{onDocker}, bytes: row.bytes}
		e := New(system, nil, nil)
		rec, err := e.Inject(t.Context(), Spec{Fault: "disk-full", Target: "database"})
		if row.says == "" {
			if err != nil || !rec.Effective || system.fills == 0 {
				t.Errorf("%d bytes: %+v, %v", row.bytes, rec, err)
			}
			if healed, err := e.Heal(t.Context()); err != nil || len(healed) != 1 || !healed[0].Reverted {
				t.Errorf("healed: %+v, %v", healed, err)
			}
			continue
		}
		var usage *UsageError
		if !errors.As(err, &usage) || !strings.Contains(usage.Error()+usage.Hint, row.says) || system.fills > 0 || len(e.Records()) > 0 {
			t.Errorf("%d bytes: %v after %d fills, want %q", row.bytes, err, system.fills, row.says)
		}
	}
}
