//go:build !linux

package inside

import "errors"

var limits = map[string]int{}

type limited struct{}

type hold struct {
	limited map[limited]uint64
	others  func() ([]int, error)
	volume  string
}

func others() ([]int, error) { return nil, nil }

func (*hold) obey(Order) (Answer, error) { return Answer{}, errors.New("only Linux has that") }

func (*hold) undo() error { return nil }
