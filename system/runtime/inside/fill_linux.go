package inside

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// fillerName is the file that takes the room of a volume.
const fillerName = ".ordbench-fill"

// fillPiece is how much is written at a time.
const fillPiece = 1 << 20

// fill makes the filler longer until the kernel says that there is no room,
// and then gives back what is to stay free. taken is by how many bytes the
// filler has grown.
func (h *hold) fill(spare int64) (taken int64, detail string, err error) {
	f, err := os.OpenFile(h.filler(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h.filling = true
	before, err := f.Stat()
	if err != nil {
		return 0, "", err
	}
	size, piece := before.Size(), make([]byte, fillPiece)
	for err == nil {
		var n int
		n, err = f.Write(piece)
		size += int64(n)
	}
	refused := err
	if !errors.Is(refused, unix.ENOSPC) {
		return 0, "", refused
	}
	free, all, block, err := h.room()
	if err != nil {
		return 0, "", err
	}
	if want := (spare + block - 1) / block * block; want > 0 {
		size = max(0, size-want)
		if err := f.Truncate(size); err != nil {
			return 0, "", err
		}
	}
	detail = fmt.Sprintf("%d of %d bytes were free, and a write was answered: %v", free, all, errors.Unwrap(refused))
	if spare > 0 {
		if free, _, _, err = h.room(); err != nil {
			return 0, "", err
		}
		detail += fmt.Sprintf("; %d are left", free)
	}
	return max(0, size-before.Size()), detail, f.Close()
}

// clear removes the filler, its own or that of a helper before it.
func (h *hold) clear() (string, error) {
	if err := os.Remove(h.filler()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	h.filling = false
	free, all, _, err := h.room()
	return fmt.Sprintf("%d of %d bytes are free again", free, all), err
}

func (h *hold) filler() string { return filepath.Join(h.volume, fillerName) }

// room is how much of the volume is free, and how much there is, in bytes.
func (h *hold) room() (free, all, block int64, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(h.volume, &fs); err != nil {
		return 0, 0, 0, fmt.Errorf("look at %s: %w", h.volume, err)
	}
	block = int64(fs.Bsize) //nolint:unconvert // it has 32 bits elsewhere
	return int64(fs.Bavail) * block, int64(fs.Blocks) * block, block, nil
}
