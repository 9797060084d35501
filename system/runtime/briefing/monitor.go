package briefing

import "strings"

// Debug is what GODEBUG says to a component, beside the settings that it is to
// have anyway.
//
// While a Go process is idle the monitor of its scheduler sleeps, and the next
// call to the kernel wakes it to look around every 20 us for a while. A service
// is idle a thousand times a second, and of eight on two cores the monitors
// were half of all that ran. Where the scheduler is traced they do not sleep,
// and look every 10 ms. So it is traced, with the longest interval there is: on
// a machine that has been up for 24 days that is one line in the log.
func Debug(settings string) string {
	return strings.TrimSuffix("schedtrace=2147483647,"+settings, ",") // the last setting wins
}
