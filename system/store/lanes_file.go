package store

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const (
	firstMember = 1000 // byte of the first publisher; those of the lanes come before
	mostMembers = 1000
)

// fileLanes are locks on single bytes of a file: one for each lane, and one
// for each process that publishes. The kernel frees them when it dies.
type fileLanes struct {
	file   *os.File
	member int64 // its byte, while it is counted
}

func (l *fileLanes) join(context.Context) error {
	for l.member = firstMember; l.member < firstMember+mostMembers; l.member++ {
		if ok, err := lockByte(l.file, l.member, unix.F_WRLCK); ok || err != nil {
			return err
		}
	}
	return errors.New("too many publishers")
}

// look knows of no lane that is taken: to try one costs no more than to ask.
func (l *fileLanes) look(context.Context) (int, []int, error) {
	others, err := l.others(firstMember, firstMember+mostMembers)
	return others + 1, nil, err
}

// others counts the bytes from one to before another that somebody else has
// locked. The kernel names any of them, and so both sides of it are counted.
func (l *fileLanes) others(from, to int64) (int, error) {
	if from >= to {
		return 0, nil
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: from, Len: to - from}
	if err := unix.FcntlFlock(l.file.Fd(), getLock, &lock); err != nil {
		return 0, err
	}
	if lock.Type == unix.F_UNLCK {
		return 0, nil
	}
	before, err := l.others(from, lock.Start)
	if err != nil {
		return 0, err
	}
	after, err := l.others(lock.Start+lock.Len, to)
	return before + 1 + after, err
}

func (l *fileLanes) try(_ context.Context, lane int) (bool, error) {
	return lockByte(l.file, int64(lane), unix.F_WRLCK)
}

func (l *fileLanes) release(_ context.Context, lane int) error {
	_, err := lockByte(l.file, int64(lane), unix.F_UNLCK)
	return err
}

func (l *fileLanes) leave(context.Context) error {
	_, err := lockByte(l.file, l.member, unix.F_UNLCK)
	return err
}

func (l *fileLanes) close() error { return l.file.Close() }

// lockByte locks or unlocks one byte of f. It is not ok if somebody else has
// it.
func lockByte(f *os.File, at int64, how int16) (ok bool, err error) {
	b := unix.Flock_t{Type: how, Whence: io.SeekStart, Start: at, Len: 1}
	for {
		err := unix.FcntlFlock(f.Fd(), setLock, &b)
		switch err {
		case nil:
			return true, nil
		case unix.EINTR:
		case unix.EAGAIN, unix.EACCES:
			return false, nil
		default:
			return false, err
		}
	}
}
