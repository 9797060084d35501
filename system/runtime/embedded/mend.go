package embedded

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
)

// entryMax bounds an entry of the broker's logs, in bytes. Real ones are some
// hundred; the bound keeps garbage from being taken for a huge one.
const entryMax = 64 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// mendFile removes torn entries from the log at path, if it is there, and
// says how many bytes that cost.
func mendFile(path string) (lost int, err error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	whole, lost := mend(raw)
	if lost == 0 {
		return 0, nil
	}
	return lost, replace(path, whole)
}

// mend returns the whole entries of raw, in order, and the number of bytes
// that belong to none. An entry is, in little endian: the length of what
// follows its checksum (4 bytes), the CRC-32C of that (4 bytes), a version (2
// bytes) and data. A write that was cut short, by a kill or by a full disk,
// leaves the head of an entry, and whole ones may stand behind it.
func mend(raw []byte) (whole []byte, lost int) {
	for len(raw) > 0 {
		if n := entry(raw); n > 0 {
			whole = append(whole, raw[:n]...)
			raw = raw[n:]
		} else {
			raw = raw[1:]
			lost++
		}
	}
	return whole, lost
}

// entry is the length in bytes of the entry at the head of raw, 0 if there is
// none.
func entry(raw []byte) int {
	if len(raw) < 10 {
		return 0
	}
	length := binary.LittleEndian.Uint32(raw)
	if length < 2 || length > entryMax || int(length) > len(raw)-8 {
		return 0
	}
	body := raw[8 : 8+length]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(raw[4:]) {
		return 0
	}
	return 8 + int(length)
}
