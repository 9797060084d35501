package machine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAFeatureIsFoundWhereverTheKernelHasIt(t *testing.T) {
	modules := t.TempDir()
	if err := os.WriteFile(filepath.Join(modules, "modules.dep"), []byte("kernel/net/sched/sch_ordbench.ko.zst: \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := Feature{"shaping", "CONFIG_SHAPING", "sch_ordbench", "tests"}
	other := Feature{"shaping", "CONFIG_SHAPING", "sch_nobody_has_it", "tests"}
	for _, row := range []struct {
		name    string
		feature Feature
		config  string
		state   State
		says    string
	}{
		{"built in", other, "CONFIG_SHAPING=y\n", OK, "in the kernel"},
		{"a module that is there", f, "CONFIG_SHAPING=m\n", OK, "can be loaded"},
		{"a module that is there, of a kernel that does not tell", f, "", OK, "can be loaded"},
		{"a module that is not there", other, "CONFIG_SHAPING=m\n", Limited, "not installed"},
		{"a kernel without", other, "CONFIG_OTHER=y\n# CONFIG_SHAPING is not set\n", Limited, "is not set"},
		{"a kernel that does not tell", other, "", Limited, "not known"},
	} {
		t.Run(row.name, func(t *testing.T) {
			found := row.feature.look(parseConfig(strings.NewReader(row.config)), modules)
			if found.State != row.state || !strings.Contains(found.Detail, row.says) || (found.State == OK) != (found.Remedy == "") {
				t.Errorf("%+v, want %s and %q", found, row.state, row.says)
			}
		})
	}
}

func TestWhatIsTooLittleIsSaid(t *testing.T) {
	const noMachineHas = 1 << 60
	for _, row := range []struct {
		enough, tooMuch Finding
	}{
		{Memory(1), Memory(noMachineHas)},
		{Disk("data", t.TempDir(), 1), Disk("data", filepath.Join(t.TempDir(), "not", "yet"), noMachineHas)},
		{Files(1), Files(noMachineHas)},
	} {
		if row.enough.State != OK || row.enough.Detail == "" {
			t.Errorf("%+v, want ok", row.enough)
		}
		if row.tooMuch.State == OK && row.tooMuch.Detail != "no limit" {
			t.Errorf("%+v, want less than ok", row.tooMuch)
		}
	}
	if got := Lacks([]Finding{{Need: "a", State: OK}, {Need: "b", State: Missing}, {Need: "c", State: Limited}, {Need: "d", State: Missing}}); got != "b, d" {
		t.Errorf("lacks %q", got)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add("CONFIG_NET_NS=y\n# CONFIG_NET_SCH_NETEM is not set\n")
	f.Add("=\nCONFIG_=")
	f.Fuzz(func(t *testing.T, text string) {
		for name := range parseConfig(strings.NewReader(text)) {
			if !strings.HasPrefix(name, "CONFIG_") {
				t.Errorf("%q is no option", name)
			}
		}
	})
}

func FuzzParseCapabilities(f *testing.F) {
	f.Add("Name:\tordbench\nCapEff:\t000001ffffffffff\n")
	f.Add("CapEff:\tnonsense")
	f.Fuzz(func(t *testing.T, status string) {
		if set := parseCapabilities(status); set != 0 && !strings.Contains(status, "CapEff:") {
			t.Errorf("%x out of %q", set, status)
		}
	})
}
