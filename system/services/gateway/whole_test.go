package gateway

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

var wholes = []struct {
	name, raw string
	ok        bool
}{
	{"a read", "GET /orders/7 HTTP/1.1\r\nHost: x\r\n\r\n", true},
	{"an order", "POST /orders HTTP/1.1\r\nhost: gateway_1:80\r\nCONTENT-LENGTH: 2\r\nX-Y: a b\r\n\r\n{}", true},
	{"an order with nothing in it", "POST /orders HTTP/1.1\r\nHost: x\r\n\r\n", true},
	{"less than one", "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{}", false},
	{"more than one", "GET /orders/7 HTTP/1.1\r\nHost: x\r\n\r\nG", false},
	{"a header without end", "GET /orders/7 HTTP/1.1\r\nHost: x\r\n", false},
	{"a line without end", "GET /orders/7", false},
	{"no version", "GET /orders/7\r\nHost: x\r\n\r\n", false},
	{"another version", "GET /orders/7 HTTP/1.0\r\nHost: x\r\n\r\n", false},
	{"a space too many", "GET  /orders/7 HTTP/1.1\r\nHost: x\r\n\r\n", false},
	{"a method in small letters", "get /orders/7 HTTP/1.1\r\nHost: x\r\n\r\n", false},
	{"a whole URL", "GET http://x/orders/7 HTTP/1.1\r\nHost: x\r\n\r\n", false},
	{"a path that has to be decoded", "GET /orders/%37 HTTP/1.1\r\nHost: x\r\n\r\n", false},
	{"a query", "GET /orders?limit=1 HTTP/1.1\r\nHost: x\r\n\r\n", false},
	{"no host", "GET /orders/7 HTTP/1.1\r\nX-Y: x\r\n\r\n", false},
	{"two hosts", "GET /orders/7 HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", false},
	{"a host that is none", "GET /orders/7 HTTP/1.1\r\nHost: x/y\r\n\r\n", false},
	{"two lengths", "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}", false},
	{"two lengths that differ", "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 2\r\n\r\n{}", false},
	{"a length with a sign", "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\n{}", false},
	{"a list of lengths", "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 2, 2\r\n\r\n{}", false},
	{"a length without a number", "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n", false},
	{"a length that no order has", "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 0000002\r\n\r\n{}", false},
	{"chunks", "POST /orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", false},
	{"chunks and a length", "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}", false},
	{"the last one", "GET /orders/7 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false},
	{"who waits for a word", "POST /orders HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n", false},
	{"a space before the colon", "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length : 2\r\n\r\n{}", false},
	{"a folded field", "GET /orders/7 HTTP/1.1\r\nHost: x\r\nX-Y: a\r\n b\r\n\r\n", false},
	{"a bare line feed", "GET /orders/7 HTTP/1.1\r\nHost: x\r\nX-Y: a\nContent-Length: 5\r\n\r\n", false},
	{"a bare carriage return", "GET /orders/7 HTTP/1.1\r\nHost: x\r\nX-Y: a\rb\r\n\r\n", false},
	{"a zero byte", "GET /orders/7 HTTP/1.1\r\nHost: x\r\nX-Y: a\x00b\r\n\r\n", false},
	{"a field without a name", "GET /orders/7 HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n", false},
	{"many fields", "GET /orders/7 HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-Y: z\r\n", wholeFields) + "\r\n", false},
}

func TestReadWhole(t *testing.T) {
	for _, row := range wholes {
		if _, ok := readWhole([]byte(row.raw)); ok != row.ok {
			t.Errorf("%s: %v, want %v", row.name, ok, row.ok)
		}
	}
	w, _ := readWhole([]byte("POST /orders HTTP/1.1\r\nHost: x\r\nPriority: u=4\r\n\r\n"))
	if string(w.method) != "POST" || string(w.target) != "/orders" || !w.modest {
		t.Errorf("%s %s, modest %v", w.method, w.target, w.modest)
	}
}

// What is read as a whole request is one for net/http too, with the same first
// line and nothing after it: who reads it elsewhere can be made to see no other.
func FuzzReadWhole(f *testing.F) {
	for _, row := range wholes {
		f.Add([]byte(row.raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		w, ok := readWhole(raw)
		if !ok {
			return
		}
		stream := bytes.NewReader(raw)
		buffered := bufio.NewReader(stream)
		r, err := http.ReadRequest(buffered)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Fatal(err)
		}
		if rest := buffered.Buffered() + stream.Len(); rest > 0 {
			t.Errorf("%d bytes after it", rest)
		}
		if r.Method != string(w.method) || r.RequestURI != string(w.target) || (len(r.Header["Priority"]) > 0) != w.modest {
			t.Errorf("%s %s, modest %v; net/http reads %s %s %v", w.method, w.target, w.modest, r.Method, r.RequestURI, r.Header["Priority"])
		}
		if r.Close || len(r.TransferEncoding) > 0 || r.Trailer != nil || r.Header.Get("Expect") != "" || r.ProtoMinor != 1 {
			t.Errorf("%+v", r)
		}
	})
}
