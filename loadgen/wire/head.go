package wire

import (
	"bytes"
	"errors"
	"math"
)

// errBadHead is a head that is not that of an HTTP/1.x answer.
var errBadHead = errors.New("malformed head of the answer")

// framing is what the head of an answer says about its body and connection.
type framing struct {
	status    int
	length    int64 // of the body, -1 if the head does not say
	chunked   bool
	keepAlive bool
}

// readHead reads a whole head, its empty line included. Folded fields are
// made one line, in place.
func readHead(head []byte) (framing, error) {
	f := framing{length: -1}
	end := bytes.IndexByte(head, '\n')
	status := bytes.TrimSuffix(head[:end], []byte("\r"))
	head = head[end+1:]
	const version = "HTTP/1."
	if len(status) < len("HTTP/1.1 200") || string(status[:len(version)]) != version || !isDigit(status[7]) || status[8] != ' ' {
		return f, errBadHead
	}
	modern := status[7] > '0'
	code := bytes.TrimLeft(status[9:], " ")
	if len(code) < 3 || len(code) > 3 && code[3] != ' ' || code[0] == '0' || !isDigit(code[0]) || !isDigit(code[1]) || !isDigit(code[2]) {
		return f, errBadHead
	}
	f.status = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	if isBlank(head[0]) {
		return f, errBadHead
	}
	var (
		closes, keeps bool
		length        []byte
	)
	encodings := 0
	for {
		field, rest, err := cutField(head)
		if err != nil {
			return f, err
		}
		if head = rest; field.name == nil {
			break
		}
		switch {
		case same(field.name, "content-length"):
			n, ok := decimal(field.value)
			if !ok || length != nil && !bytes.Equal(length, field.value) {
				return f, errBadHead
			}
			f.length, length = n, field.value
		case same(field.name, "connection"):
			closes = closes || lists(field.value, "close")
			keeps = keeps || lists(field.value, "keep-alive")
		case same(field.name, "transfer-encoding") && modern:
			if encodings++; encodings > 1 || !same(field.value, "chunked") {
				return f, errBadHead
			}
			f.chunked = true
		}
	}
	f.keepAlive = !closes && (modern || keeps)
	return f, nil
}

// field is one line of a head.
type field struct{ name, value []byte }

// cutField takes the first field off the lines of a head, which end with an
// empty line: for that the name is nil.
func cutField(head []byte) (f field, rest []byte, err error) {
	end := bytes.IndexByte(head, '\n')
	line := bytes.TrimSuffix(head[:end], []byte("\r"))
	if len(line) == 0 {
		return f, head[end+1:], nil
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return f, nil, errBadHead
	}
	for rest = head[end+1:]; len(rest) > 0 && isBlank(rest[0]); rest = head[end+1:] {
		head[end] = ' '
		if head[end-1] == '\r' {
			head[end-1] = ' '
		}
		end += 1 + bytes.IndexByte(rest, '\n')
		line = bytes.TrimSuffix(head[:end], []byte("\r"))
	}
	f.name = line[:colon]
	f.value = bytes.Trim(line[colon+1:], " \t")
	if len(f.name) == 0 {
		return f, nil, errBadHead
	}
	for _, b := range f.name {
		if !inToken[b] && b != ' ' { // net/http lets spaces in, and so makes another name
			return f, nil, errBadHead
		}
	}
	for _, b := range f.value {
		if !inValue(b) {
			return f, nil, errBadHead
		}
	}
	return f, rest, nil
}

// header finds a field of the answer by its name.
func (s *scanner) header(name string) string {
	head := s.buf[s.start:s.body]
	head = head[bytes.IndexByte(head, '\n')+1:]
	for {
		f, rest, err := cutField(head)
		if err != nil || f.name == nil {
			return ""
		}
		if same(f.name, name) {
			return string(f.value)
		}
		head = rest
	}
}

// lists says that a list separated by commas holds word.
func lists(list []byte, word string) bool {
	for len(list) > 0 {
		one, rest, _ := bytes.Cut(list, []byte(","))
		if same(bytes.Trim(one, " \t"), word) {
			return true
		}
		list = rest
	}
	return false
}

// same compares without regard to case, of ASCII only.
func same(a []byte, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		b += 'a' - 'A'
	}
	return b
}

// decimal is a number without a sign that fits.
func decimal(digits []byte) (n int64, ok bool) {
	for _, b := range digits {
		if !isDigit(b) || n > (math.MaxInt64-9)/10 {
			return 0, false
		}
		n = n*10 + int64(b-'0')
	}
	return n, len(digits) > 0
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

func isBlank(b byte) bool { return b == ' ' || b == '\t' }

// inValue says that b may be in the value of a field.
func inValue(b byte) bool { return b >= ' ' && b != 0x7f || b == '\t' }

// inToken says which bytes may be in names and methods.
var inToken = func() (in [256]bool) {
	for b := '0'; b <= 'z'; b++ {
		in[b] = b <= '9' || 'A' <= b && b <= 'Z' || b >= 'a'
	}
	for _, b := range "!#$%&'*+-.^_`|~" {
		in[b] = true
	}
	return in
}()
