package gateway

import "bytes"

// whole is a request of the form that nearly all have, whose bytes say without
// doubt where it ends.
type whole struct {
	method, target []byte
	modest         bool // it has a word on its priority
}

// The bounds of a whole request.
const (
	wholeFields = 32
	wholeDigits = 6 // of its length
)

// readWhole reads a request that is all of b and nothing else, of HTTP/1.1, with
// one Host and a body, if any, whose length it tells. Whatever could be read in
// more than one way is none: a length that is told twice, a coding, a folded
// field, a control character. net/http reads all that is read here, and in the
// same way; FuzzReadWhole holds it to that.
func readWhole(b []byte) (w whole, ok bool) {
	line, rest, found := bytes.Cut(b, newline)
	if !found {
		return whole{}, false
	}
	var version []byte
	if w.method, line, found = bytes.Cut(line, space); !found {
		return whole{}, false
	}
	if w.target, version, found = bytes.Cut(line, space); !found || string(version) != "HTTP/1.1" {
		return whole{}, false
	}
	if !all(w.method, isCapital) || !all(w.target, inTarget) || w.target[0] != '/' {
		return whole{}, false
	}
	hosts, lengths, size := 0, 0, 0
	for range wholeFields {
		if line, rest, found = bytes.Cut(rest, newline); !found {
			return whole{}, false
		}
		if len(line) == 0 {
			return w, hosts == 1 && len(rest) == size
		}
		name, value, found := bytes.Cut(line, colon)
		if !found || !all(name, inName) || !all(value, isVisible) {
			return whole{}, false
		}
		switch value = bytes.TrimSpace(value); {
		case is(name, "host"):
			hosts++
			if !all(value, inHost) {
				return whole{}, false
			}
		case is(name, "content-length"):
			if lengths++; lengths > 1 || len(value) > wholeDigits || !all(value, isDigit) {
				return whole{}, false
			}
			for _, c := range value {
				size = 10*size + int(c-'0')
			}
		case is(name, "priority"):
			w.modest = true
		case is(name, "transfer-encoding"), is(name, "connection"), is(name, "expect"), is(name, "upgrade"), is(name, "trailer"):
			return whole{}, false
		}
	}
	return whole{}, false
}

var (
	space   = []byte(" ")
	colon   = []byte(":")
	newline = []byte("\r\n")
)

// is tells whether a field has a name, which is given in small letters.
func is(field []byte, name string) bool {
	if len(field) != len(name) {
		return false
	}
	for i, c := range field {
		if c|0x20 != name[i] { // of letters and "-" only their case is lost
			return false
		}
	}
	return true
}

// all tells whether there is something, and all of it of one class.
func all(b []byte, class func(byte) bool) bool {
	for _, c := range b {
		if !class(c) {
			return false
		}
	}
	return len(b) > 0
}

func isDigit(c byte) bool   { return '0' <= c && c <= '9' }
func isCapital(c byte) bool { return 'A' <= c && c <= 'Z' }
func isVisible(c byte) bool { return ' ' <= c && c <= '~' }
func inName(c byte) bool    { return isDigit(c) || isCapital(c&^0x20) || c == '-' }
func inHost(c byte) bool    { return inName(c) || bytes.IndexByte([]byte("._:[]"), c) >= 0 }
func inTarget(c byte) bool  { return inName(c) || c == '/' || c == '_' }
