package embedded

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
)

func framed(data string) []byte {
	body := append([]byte{1, 0}, data...)
	raw := binary.LittleEndian.AppendUint32(nil, uint32(len(body)))
	raw = binary.LittleEndian.AppendUint32(raw, crc32.Checksum(body, castagnoli))
	return append(raw, body...)
}

func TestMendKeepsWholeEntriesInOrder(t *testing.T) {
	a, b := framed(`{"type":"commit","o":1}`), framed(`{"type":"commit","o":2}`)
	flipped := bytes.Clone(a)
	flipped[len(flipped)-1] ^= 1
	tests := map[string]struct {
		raw, want []byte
	}{
		"nothing":                            {nil, nil},
		"whole":                              {bytes.Join([][]byte{a, b}, nil), bytes.Join([][]byte{a, b}, nil)},
		"tail cut in the data":               {append(bytes.Clone(a), b[:len(b)-3]...), a},
		"tail cut in the header":             {append(bytes.Clone(a), b[:5]...), a},
		"entries behind a torn one":          {bytes.Join([][]byte{a, b[:7], b, a}, nil), bytes.Join([][]byte{a, b, a}, nil)},
		"a flipped bit":                      {bytes.Join([][]byte{flipped, b}, nil), b},
		"a length beyond the end":            {append(bytes.Repeat([]byte{0xff}, 20), a...), a},
		"a hole, as a power cut may make it": {bytes.Join([][]byte{a, make([]byte, 50), b}, nil), bytes.Join([][]byte{a, b}, nil)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, lost := mend(test.raw)
			if !bytes.Equal(got, test.want) {
				t.Errorf("kept %q, want %q", got, test.want)
			}
			if lost != len(test.raw)-len(test.want) {
				t.Errorf("lost %d bytes, want %d", lost, len(test.raw)-len(test.want))
			}
		})
	}
}

func TestMendFileLeavesWholeAndMissingFilesAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "groups.log")
	if lost, err := mendFile(path); lost != 0 || err != nil {
		t.Fatalf("missing: %d, %v", lost, err)
	}
	if err := os.WriteFile(path, framed("x"), 0o400); err != nil {
		t.Fatal(err)
	}
	if lost, err := mendFile(path); lost != 0 || err != nil {
		t.Fatalf("whole: %d, %v", lost, err)
	}
	if err := os.WriteFile(path+"2", append(framed("x"), 1, 2, 3), 0o600); err != nil {
		t.Fatal(err)
	}
	if lost, err := mendFile(path + "2"); lost != 3 || err != nil {
		t.Fatalf("torn: %d, %v", lost, err)
	}
	if raw, err := os.ReadFile(path + "2"); err != nil || !bytes.Equal(raw, framed("x")) {
		t.Fatalf("mended to %q, %v", raw, err)
	}
}

func FuzzMend(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(append(framed("a"), framed("b")[:9]...))
	f.Add(append([]byte{9, 0, 0, 0}, framed("a")...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		whole, lost := mend(raw)
		if len(whole)+lost != len(raw) {
			t.Fatalf("%d kept and %d lost of %d", len(whole), lost, len(raw))
		}
		again, lost := mend(whole)
		if lost != 0 || !bytes.Equal(again, whole) {
			t.Fatalf("a mended log is torn: lost %d more", lost)
		}
	})
}
