//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// rival is another load generator, if it is installed.
type rival struct {
	name    string
	version []string
	// command posts over 50 connections for that long, at a rate if it is
	// above 0.
	command func(url string, rate int, length time.Duration) []string
	count   *regexp.Regexp // of answers, in what it prints
}

const conns = 50

// rivals writes the scripts that some of them need into dir.
func rivals(dir string) ([]rival, error) {
	lua, js := filepath.Join(dir, "wrk.lua"), filepath.Join(dir, "k6.js")
	err := os.WriteFile(lua, []byte("wrk.method = 'POST'\nwrk.body = [["+body+"]]\nwrk.headers['Content-Type'] = 'application/json'\n"), 0o600)
	if err != nil {
		return nil, err
	}
	err = os.WriteFile(js, []byte("import http from 'k6/http';\nexport default function () {\n"+
		"  http.post(__ENV.TARGET, '"+body+"', {headers: {'Content-Type': 'application/json'}});\n}\n"), 0o600)
	if err != nil {
		return nil, err
	}
	return []rival{
		{"wrk", []string{"-v"}, func(url string, _ int, length time.Duration) []string {
			return []string{"-t1", "-c" + strconv.Itoa(conns), "-d" + seconds(length), "-s", lua, url}
		}, regexp.MustCompile(`(\d+) requests in`)},
		{"hey", nil, func(url string, rate int, length time.Duration) []string {
			args := []string{"-z", seconds(length), "-c", strconv.Itoa(conns), "-m", "POST", "-T", "application/json", "-d", body}
			if rate > 0 {
				args = append(args, "-q", strconv.Itoa(rate/conns)) // it counts per worker
			}
			return append(args, url)
		}, regexp.MustCompile(`\[202\]\s+(\d+) responses`)},
		{"oha", []string{"--version"}, func(url string, rate int, length time.Duration) []string {
			args := []string{"-z", seconds(length), "-c", strconv.Itoa(conns), "-m", "POST", "-T", "application/json", "-d", body, "--no-tui", "--output-format", "json"}
			if rate > 0 {
				args = append(args, "-q", strconv.Itoa(rate))
			}
			return append(args, url)
		}, regexp.MustCompile(`"202":\s*(\d+)`)},
		{"k6", []string{"version"}, func(url string, _ int, length time.Duration) []string {
			return []string{"run", "--quiet", "--no-usage-report", "--vus", strconv.Itoa(conns), "--duration", seconds(length), "-e", "TARGET=" + url, js}
		}, regexp.MustCompile(`http_reqs[.: ]+(\d+)`)},
	}, nil
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) + "s" }

// missing says why there are no figures of r.
func (r rival) missing() error {
	_, err := exec.LookPath(r.name)
	return err
}

// run is one run of r: how many answers it had, and what that cost.
func (r rival) run(url string, rate int, length time.Duration) (answers float64, cpu, took time.Duration, err error) {
	cmd := pinned(clientCore, append([]string{r.name}, r.command(url+"/orders", rate, length)...)...)
	cmd.Stderr = nil
	start := time.Now()
	out, err := cmd.Output()
	took = time.Since(start)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("%s: %w", r.name, err)
	}
	m := r.count.FindSubmatch(out)
	if m == nil {
		return 0, 0, 0, fmt.Errorf("%s: no count of answers in %q", r.name, out)
	}
	answers, err = strconv.ParseFloat(string(m[1]), 64)
	return answers, cpuTime(cmd), took, err
}
