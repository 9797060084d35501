package main

import (
	"errors"

	"github.com/ordbench/ordbench/chaos"
	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/scenarios"
	"github.com/ordbench/ordbench/scenarios/conductor"
	"github.com/ordbench/ordbench/scenarios/conductor/control"
)

// The exit codes. They are part of the contract with scripts.
const (
	exitPass         = 0
	exitGate         = 1
	exitIntegrity    = 2
	exitInconclusive = 3
	exitBoot         = 4
	exitUsage        = 64
	exitInternal     = 70
	exitInterrupted  = 130
)

// exitHelp is what `ordbench help` says of the exit codes.
const exitHelp = `Exit codes:
  0    pass
  1    a gate failed
  2    integrity: an order was lost, doubled or made up, or an invariant broke
  3    inconclusive: the run can't say
  4    the stack did not boot, or nobody answers at the target of a load
  64   usage or scenario error
  70   a fault of ordbench itself
  130  interrupted
`

// outcomeError is a verdict that is not pass. It is reported already.
type outcomeError struct{ outcome reports.Outcome }

func (e *outcomeError) Error() string { return string(e.outcome) }

// errInterrupted says that the user ended the run. It is reported already.
var errInterrupted = errors.New("interrupted")

// usageError is a mistake in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// exitCode is the one map from errors to exit codes.
func exitCode(err error) int {
	var (
		outcome  *outcomeError
		usage    usageError
		problems scenarios.Problems
		file     *scenarios.FileError
		fault    *chaos.UsageError
		outDir   *conductor.OutDirError
		boot     *conductor.BootError
		absent   *conductor.UnreachableError
		child    *childError
	)
	switch {
	case err == nil:
		return exitPass
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.As(err, &outcome):
		switch outcome.outcome {
		case reports.Pass:
			return exitPass
		case reports.Fail:
			return exitGate
		case reports.Integrity:
			return exitIntegrity
		default:
			return exitInconclusive
		}
	case errors.As(err, &child):
		return child.code
	case errors.As(err, &boot), errors.As(err, &absent), errors.Is(err, errNotReady):
		return exitBoot
	case errors.As(err, &usage), errors.As(err, &problems), errors.As(err, &file), errors.As(err, &fault),
		errors.As(err, &outDir), errors.Is(err, control.ErrNone):
		return exitUsage
	default:
		return exitInternal
	}
}

// reported says that the user has seen what err has to say.
func reported(err error) bool {
	var outcome *outcomeError
	return errors.Is(err, errInterrupted) || errors.Is(err, errNotReady) || errors.As(err, &outcome)
}
