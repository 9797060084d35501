package briefing

import "testing"

func TestDebugKeepsWhatIsSetAlready(t *testing.T) {
	for settings, want := range map[string]string{
		"":                "schedtrace=2147483647",
		"gctrace=1":       "schedtrace=2147483647,gctrace=1",
		"schedtrace=1000": "schedtrace=2147483647,schedtrace=1000",
	} {
		if got := Debug(settings); got != want {
			t.Errorf("Debug(%q) is %q, want %q", settings, got, want)
		}
	}
}
