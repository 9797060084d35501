package reports

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// JUnit renders a result for test runners: a case for the verdict, for each
// invariant and for each gate. Broken and failed ones are failures, unknown
// ones are errors: neither may turn a build green.
func JUnit(w io.Writer, r *Result) error {
	suite := junitSuite{
		Name:      clean(r.Scenario.Name),
		Time:      fmt.Sprintf("%.3f", float64(r.Run.DurationMS)/1000),
		Timestamp: r.Run.StartedAt.UTC().Format("2006-01-02T15:04:05"),
	}
	suite.add("verdict", "verdict", string(r.Verdict.Outcome), r.Verdict.Reason)
	for _, i := range r.Invariants {
		detail := i.Detail
		if len(i.Evidence) > 0 {
			detail += ": " + strings.Join(i.Evidence, " ")
		}
		suite.add("invariant", i.ID, i.Outcome, detail)
	}
	for _, g := range r.Gates {
		value := "nothing was measured"
		if g.Value != nil {
			value = FormatValue(*g.Value, g.Unit)
		}
		detail := fmt.Sprintf("%s is %s, bound %s", g.Metric, value, g.Bound)
		if g.Detail != "" {
			detail += ": " + g.Detail
		}
		suite.add("gate", g.ID, g.Outcome, detail)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(suite); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

type junitSuite struct {
	XMLName   xml.Name    `xml:"testsuite"`
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Errors    int         `xml:"errors,attr"`
	Time      string      `xml:"time,attr"` // seconds
	Timestamp string      `xml:"timestamp,attr"`
	Cases     []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Failure *junitMessage `xml:"failure,omitempty"`
	Error   *junitMessage `xml:"error,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
}

func (s *junitSuite) add(kind, name, outcome, detail string) {
	c := junitCase{Class: "ordbench." + s.Name + "." + kind, Name: clean(name)}
	message := &junitMessage{Message: clean(detail)}
	switch outcome {
	case string(Pass), Held:
	case string(Fail), string(Integrity), Broken:
		c.Failure = message
		s.Failures++
	default:
		c.Error = message
		s.Errors++
	}
	s.Tests++
	s.Cases = append(s.Cases, c)
}
