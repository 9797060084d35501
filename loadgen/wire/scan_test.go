package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// scanAll gives bytes to a scanner in pieces of the given size, then the end
// of the connection.
func scanAll(answer []byte, method string, size int) (s *scanner, err error) {
	s = new(scanner)
	s.reset(method == "HEAD")
	for len(answer) > 0 {
		n := copy(s.space(), answer[:min(size, len(answer))])
		answer = answer[n:]
		done, err := s.add(n)
		if err != nil {
			return s, err
		}
		if done {
			// What is behind the answer was there, or would be at the next read.
			if len(answer) > 0 {
				s.keepAlive = false
			}
			return s, nil
		}
	}
	return s, s.eof()
}

// oracle is what net/http makes of the same bytes.
func oracle(answer []byte, method string) (res *http.Response, body []byte, reusable bool, err error) {
	in := bufio.NewReaderSize(bytes.NewReader(answer), 4<<10)
	for {
		res, err = http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return nil, nil, false, err
		}
		if res.StatusCode/100 != 1 || res.StatusCode == 101 {
			break
		}
	}
	body, err = io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = errTooLong
	}
	return res, body, !res.Close && in.Buffered() == 0 && res.StatusCode != 101, err
}

// stricter says that the scanner refuses what net/http takes: a status that
// means "no answer" here, and versions that nobody speaks over this wire.
func stricter(res *http.Response) bool {
	return res.ProtoMajor != 1 || len(res.Status) < 3 || res.StatusCode < 100 || !isDigit(res.Status[0])
}

// lenient says that the scanner takes what net/http refuses: an announcement
// of trailers, which it does not read, and "chunked" with an empty line folded
// to it.
func lenient(answer []byte, refusal error) bool {
	return strings.Contains(refusal.Error(), "bad trailer key") ||
		strings.Contains(refusal.Error(), "unsupported transfer encoding") && (bytes.Contains(answer, []byte("\n ")) || bytes.Contains(answer, []byte("\n\t")))
}

var answers = []string{
	okAnswer,
	okAnswer + okAnswer,
	"HTTP/1.1 204 No Content\r\n\r\n",
	"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
	"HTTP/1.1 202\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
	"HTTP/1.0 200 OK\r\n\r\nuntil the end",
	"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nConnection: x, close\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nok",
	"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + okAnswer,
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;a=b\r\n!\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 3\r\nTrailer: X\r\n\r\nA \r\n0123456789\r\n0\r\nX: y\r\nZ: z\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
	"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nX-Refused-By: one\r\n two\r\n\tthree\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\n Folded: first\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nX-Refused-By : a\r\nx-refused-by:\tb \r\nX-Refused-By: c\r\n\r\n",
	"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
	"HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
	"HTTP/1.1 200 OK\r\nX: \x01\r\n\r\n",
	"HTTP/1.1  200  OK\r\n\r\n",
	"HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 -20 OK\r\n\r\n", "HTTP/1.1 000 OK\r\n\r\n",
	"HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.11 200 OK\r\n\r\n", "HTTP/1.2 200 OK\r\n\r\n",
	"\r\n\r\n", "HTTP/1.1 200 OK", "garbage", "",
}

// FuzzScanner holds the scanner against net/http: the same answer or none, for
// any bytes, however they are cut in pieces.
func FuzzScanner(f *testing.F) {
	for _, a := range answers {
		f.Add([]byte(a), false, uint16(1))
		f.Add([]byte(a), true, uint16(7))
		f.Add([]byte(a), false, uint16(1<<15))
	}
	f.Fuzz(func(t *testing.T, answer []byte, head bool, size uint16) {
		if len(answer) > maxHead {
			t.Skip("the limits are tested by themselves")
		}
		method := "GET"
		if head {
			method = "HEAD"
		}
		got, err := scanAll(answer, method, int(size)+1)
		res, body, reusable, want := oracle(answer, method)
		if res != nil && stricter(res) {
			want = errBadHead
		}
		if want != nil && lenient(answer, want) {
			t.Skip()
		}
		if (err == nil) != (want == nil) {
			t.Fatalf("%q: error %v, net/http says %v", answer, err, want)
		}
		if err != nil {
			return
		}
		if got.status != res.StatusCode || !bytes.Equal(got.answer(), body) && got.status != 101 || got.reusable() != reusable {
			t.Fatalf("%q: %d %q, reusable %v; net/http says %d %q, %v",
				answer, got.status, got.answer(), got.reusable(), res.StatusCode, body, reusable)
		}
		for _, name := range []string{"X-Refused-By", "Location"} {
			if squeeze(got.header(name)) != squeeze(res.Header.Get(name)) {
				t.Fatalf("%q: %s %q, net/http says %q", answer, name, got.header(name), res.Header.Get(name))
			}
		}
	})
}

// squeeze makes one space of many: a folded field keeps its width.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

func TestAnswersAreScannedWithinLimits(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	chunk := "100000;" + long(maxLine-10) + "\r\n"
	for _, c := range []struct {
		name, answer string
		want         error
	}{
		{"a body at the limit", "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n" + long(maxBody), nil},
		{"a body over the limit", "HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n", errTooLong},
		{"a chunk at the limit", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + long(maxBody) + "\r\n0\r\n\r\n", nil},
		{"chunks over the limit", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + long(maxBody) + "\r\n1\r\n", errTooLong},
		{"a body without end", "HTTP/1.1 200 OK\r\n\r\n" + long(maxBody+1), errTooLong},
		{"a head at the limit", "HTTP/1.1 204 OK\r\nX: " + long(maxHead-len("HTTP/1.1 204 OK\r\nX: \r\n\r\n")) + "\r\n\r\n", nil},
		{"a head without end", "HTTP/1.1 204 OK\r\nX: " + long(maxHead), errHeadTooLong},
		{"1xx without end", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", maxHead/24), errHeadTooLong},
		{"chunks that are mostly extension", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;"+long(4000)+"\r\nx\r\n", 10), errBadChunk},
		{"a chunk line without end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + long(maxLine), errBadChunk},
		{"a trailer without end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + long(maxLine), errHeadTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []int{999, 1 << 20} {
				if s, err := scanAll([]byte(c.answer), "GET", size); !errors.Is(err, c.want) {
					t.Errorf("error %v with %d bytes at %v, want %v", err, len(s.buf), s.at, c.want)
				}
			}
		})
	}
}

// Pieces of a chunked answer do not pile up.
func TestChunksAreJoinedInPlace(t *testing.T) {
	answer := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\nx\r\n", 2000) + "0\r\n\r\n"
	s, err := scanAll([]byte(answer), "GET", 100)
	if err != nil || string(s.answer()) != strings.Repeat("x", 2000) || cap(s.buf) > firstRead {
		t.Errorf("%d bytes in a buffer of %d, error %v", len(s.answer()), cap(s.buf), err)
	}
}

func BenchmarkScanner(b *testing.B) {
	answer := "HTTP/1.1 202 Accepted\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\nContent-Length: 38\r\nContent-Type: application/json\r\n\r\n" +
		`{"order_id":"o-1","status":"PENDING"}` + "\n"
	var s scanner
	b.ReportAllocs()
	for b.Loop() {
		s.reset(false)
		if done, err := s.add(copy(s.space(), answer)); !done {
			b.Fatal(err)
		}
	}
}
