package wire

import (
	"bytes"
	"errors"
	"io"
)

const (
	// firstRead is the memory of a connection for answers, until one is longer.
	firstRead = 4 << 10
	// maxHead bounds the head of an answer, in bytes, with all 1xx before it.
	maxHead = 64 << 10
	// maxLine bounds the line before a chunk, and what follows the last one.
	maxLine = 4 << 10
	// maxExcess bounds how much more than data there is in a chunked answer.
	maxExcess = 16 << 10
)

// What makes an answer garbage.
var (
	errHeadTooLong = errors.New("head of the answer longer than 64 KiB")
	errBadChunk    = errors.New("malformed chunk in the answer")
)

// scanner reads one answer from what a connection has sent, as it comes: put
// bytes into space, say so with add. It takes what http.ReadResponse takes, except
// for a status below 100 and any HTTP but 1.x, and is done at the same byte.
type scanner struct {
	buf    []byte // what has come; behind the head only the body is kept
	part   part
	noBody bool // the request was a HEAD
	start  int  // of the head, behind all 1xx
	line   int  // start of the line that is looked for
	look   int  // where its end may be
	at     int  // start of what is not scanned yet
	body   int  // start of the body
	end    int  // end of the body so far
	left   int  // bytes that are missing of the body or of the chunk
	excess int  // bytes of chunks that are no data
	framing
}

// part is what the scanner is in.
type part uint8

const (
	inHead part = iota
	inBody
	inRest // a body that ends with its connection
	inChunkLine
	inChunk
	inChunkEnd
	inTrailer
	scanned
)

// reset readies the scanner for the answer to a request.
func (s *scanner) reset(noBody bool) {
	*s = scanner{buf: s.buf[:0], noBody: noBody}
}

// space is room for more bytes, never none.
func (s *scanner) space() []byte {
	if free := cap(s.buf) - len(s.buf); free < firstRead/4 {
		more := make([]byte, len(s.buf), max(firstRead, 2*cap(s.buf)))
		copy(more, s.buf)
		s.buf = more
	}
	return s.buf[len(s.buf):cap(s.buf)]
}

// forget gives back the memory that a long answer took.
func (s *scanner) forget() {
	if cap(s.buf) > maxHead {
		s.buf = nil
	}
}

// add scans the n bytes that were put into space. True means that the answer
// is complete; an error, that it never will be.
func (s *scanner) add(n int) (bool, error) {
	s.buf = s.buf[:len(s.buf)+n]
	for {
		more, err := s.step()
		if err != nil || s.part == scanned {
			return err == nil, err
		}
		if !more {
			s.compact()
			return false, nil
		}
	}
}

// eof says that no byte will follow: nil if that completes the answer.
func (s *scanner) eof() error {
	switch {
	case s.part == inRest:
		s.part = scanned
		return nil
	case len(s.buf) == 0:
		return io.EOF
	}
	return io.ErrUnexpectedEOF
}

// reusable says that the connection may carry another request.
func (s *scanner) reusable() bool {
	return s.part == scanned && s.keepAlive && s.at == len(s.buf)
}

// answer is the body, which lasts until the next reset.
func (s *scanner) answer() []byte { return s.buf[s.body:s.end] }

// step scans one part; false means that it takes more bytes.
func (s *scanner) step() (bool, error) {
	switch s.part {
	case inHead:
		return s.stepHead()
	case inBody, inChunk:
		n := min(s.left, len(s.buf)-s.at)
		s.keep(n)
		if s.left -= n; s.left > 0 {
			return false, nil
		}
		if s.part == inBody {
			s.part = scanned
		} else {
			s.part = inChunkEnd
		}
	case inRest:
		s.keep(len(s.buf) - s.at)
		if s.end-s.body > maxBody {
			return false, errTooLong
		}
		return false, nil
	case inChunkLine:
		return s.stepChunkLine()
	case inChunkEnd:
		rest := s.buf[s.at:]
		if len(rest) < 2 {
			return false, nil
		}
		if rest[0] != '\r' || rest[1] != '\n' {
			return false, errBadChunk
		}
		s.at += 2
		s.part = inChunkLine
	case inTrailer:
		return s.stepTrailer()
	}
	return true, nil
}

// keep moves the next n bytes to the end of the body.
func (s *scanner) keep(n int) {
	if s.end != s.at {
		copy(s.buf[s.end:], s.buf[s.at:s.at+n])
	}
	s.end += n
	s.at += n
}

// compact closes the gap that the lines of chunks leave behind the body.
func (s *scanner) compact() {
	if s.part == inHead || s.end == s.at {
		return
	}
	s.buf = append(s.buf[:s.end], s.buf[s.at:]...)
	s.at = s.end
}

func (s *scanner) stepHead() (bool, error) {
	end := s.emptyLine()
	if end > maxHead || end < 0 && len(s.buf) > maxHead {
		return false, errHeadTooLong
	}
	if end < 0 {
		return false, nil
	}
	f, err := readHead(s.buf[s.start:end])
	if err != nil {
		return false, err
	}
	s.at = end
	if f.status/100 == 1 && f.status != 101 {
		s.start = end // the answer is still to come
		return true, nil
	}
	s.framing, s.body, s.end = f, end, end
	switch {
	case f.status == 101:
		s.part, s.keepAlive = scanned, false // nobody asked for another protocol
	case s.noBody || f.status == 204 || f.status == 304:
		s.part = scanned
	case f.chunked:
		s.part = inChunkLine
	case f.length > maxBody:
		return false, errTooLong
	case f.length >= 0:
		s.part, s.left = inBody, int(f.length)
	default:
		s.part, s.keepAlive = inRest, false
	}
	return true, nil
}

// emptyLine is the end of the first empty line, -1 if there is none yet.
func (s *scanner) emptyLine() int {
	for {
		i := bytes.IndexByte(s.buf[s.look:], '\n')
		if i < 0 {
			s.look = len(s.buf)
			return -1
		}
		end := s.look + i
		length := end - s.line
		if length == 0 || length == 1 && s.buf[s.line] == '\r' {
			s.line, s.look = end+1, end+1
			return end + 1
		}
		s.line, s.look = end+1, end+1
	}
}

func (s *scanner) stepChunkLine() (bool, error) {
	line := s.buf[s.at:]
	end := bytes.IndexByte(line, '\n')
	if end >= maxLine || end < 0 && len(line) >= maxLine {
		return false, errBadChunk
	}
	if end < 0 {
		return false, nil
	}
	s.at += end + 1
	if bytes.IndexByte(line[:end], '\r') != end-1 || end == 0 {
		return false, errBadChunk // a bare line feed, or a return within
	}
	line = line[:end-1]
	s.excess += len(line) + 2
	size, _, _ := bytes.Cut(bytes.TrimRight(line, " \t"), []byte(";"))
	n, ok := hex(size)
	if !ok {
		return false, errBadChunk
	}
	if s.end-s.body+n > maxBody {
		return false, errTooLong
	}
	if s.excess = max(0, s.excess-16-2*n); s.excess > maxExcess {
		return false, errBadChunk
	}
	s.part, s.left = inChunk, n
	if n == 0 {
		s.part = inTrailer
	}
	return true, nil
}

// hex is the number of 1 to 16 digits; anything too long for an answer is as
// good as the truth.
func hex(digits []byte) (n int, ok bool) {
	if len(digits) == 0 || len(digits) > 16 {
		return 0, false
	}
	for _, b := range digits {
		switch {
		case '0' <= b && b <= '9':
			b -= '0'
		case 'a' <= b && b <= 'f':
			b -= 'a' - 10
		case 'A' <= b && b <= 'F':
			b -= 'A' - 10
		default:
			return 0, false
		}
		n = min(n<<4|int(b), maxBody+1)
	}
	return n, true
}

// stepTrailer skips what may follow the last chunk.
func (s *scanner) stepTrailer() (bool, error) {
	rest := s.buf[s.at:]
	if len(rest) < 2 {
		return false, nil
	}
	if rest[0] == '\r' && rest[1] == '\n' {
		s.at += 2
		s.part = scanned
		return true, nil
	}
	end := bytes.Index(rest, []byte("\r\n\r\n")) + 4
	if end > maxLine || end < 4 && len(rest) > maxLine {
		return false, errHeadTooLong
	}
	if end < 4 {
		return false, nil
	}
	if isBlank(rest[0]) {
		return false, errBadHead
	}
	for rest = rest[:end]; ; {
		f, more, err := cutField(rest)
		if err != nil {
			return false, err
		}
		s.at += len(rest) - len(more)
		if rest = more; f.name == nil {
			s.part = scanned
			return true, nil
		}
	}
}
