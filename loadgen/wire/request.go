package wire

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/ordbench/ordbench/loadgen"
)

// errBadRequest is a call that no server could read as one request.
var errBadRequest = errors.New("malformed request")

// origin is what all requests to one target have in common.
type origin struct {
	base   *url.URL
	prefix string // path of the base URL, as it is sent
	common string // the lines that each request starts with
}

func newOrigin(base *url.URL) origin {
	return origin{
		base:   base,
		prefix: base.EscapedPath(),
		common: " HTTP/1.1\r\nHost: " + base.Host + "\r\nUser-Agent: ",
	}
}

// append adds the request of a call to out, the same that net/http would send.
func (o *origin) append(out []byte, c *loadgen.Call) ([]byte, error) {
	method := c.Method
	if method == "" {
		method = "GET"
	}
	for i := range len(method) {
		if !inToken[method[i]] {
			return out, fmt.Errorf("%w: method %q", errBadRequest, method)
		}
	}
	out = append(append(out, method...), ' ')
	if o.base.RawQuery == "" && isPlain(c.Path) {
		out = append(append(out, o.prefix...), c.Path...)
	} else {
		u, err := o.url(c.Path)
		if err != nil {
			return out, err
		}
		out = append(out, u.RequestURI()...)
	}
	out = append(out, o.common...)
	agent := userAgent[0]
	for i := range c.Header {
		if c.Header[i].Name == "User-Agent" {
			agent = string(c.Header[i].Value)
		}
	}
	out = append(append(out, agent...), "\r\n"...)
	for i := range c.Header {
		f := &c.Header[i]
		switch f.Name {
		case "Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer":
			continue // the engine's own, as in net/http
		}
		if !isField(f) {
			return out, fmt.Errorf("%w: header %q: %q", errBadRequest, f.Name, f.Value)
		}
		out = append(append(out, f.Name...), ": "...)
		out = append(append(out, f.Value...), "\r\n"...)
	}
	if len(c.Body) > 0 || method == "POST" || method == "PUT" || method == "PATCH" {
		out = append(out, "Content-Length: "...)
		out = append(strconv.AppendInt(out, int64(len(c.Body)), 10), "\r\n"...)
	}
	return append(append(out, "\r\n"...), c.Body...), nil
}

// url is where a call with that path goes.
func (o *origin) url(path []byte) (*url.URL, error) {
	u := *o.base
	if !bytes.ContainsAny(path, "%?") {
		if u.RawPath != "" {
			u.RawPath += (&url.URL{Path: string(path)}).EscapedPath()
		}
		u.Path += string(path)
		return &u, nil
	}
	ref, err := url.ParseRequestURI(string(path))
	if err != nil {
		return nil, err
	}
	u.Path, u.RawPath, u.RawQuery = o.base.Path+ref.Path, "", ref.RawQuery
	if ref.RawPath != "" {
		u.RawPath = o.base.EscapedPath() + ref.RawPath
	}
	return &u, nil
}

// isPlain says that a path is sent as it is, whoever sends it.
func isPlain(path []byte) bool {
	if len(path) == 0 || path[0] != '/' {
		return false
	}
	for _, b := range path {
		if !inPath[b] {
			return false
		}
	}
	return true
}

// inPath says which bytes need no escape in a path, nor in a query behind it.
var inPath = func() (in [256]bool) {
	for b := '0'; b <= 'z'; b++ {
		in[b] = b <= '9' || 'A' <= b && b <= 'Z' || b >= 'a'
	}
	for _, b := range "-._~/?&=+$,:@" {
		in[b] = true
	}
	return in
}()

// isField says that a header line is one line.
func isField(f *loadgen.Field) bool {
	for i := range len(f.Name) {
		if !inToken[f.Name[i]] {
			return false
		}
	}
	for _, b := range f.Value {
		if !inValue(b) {
			return false
		}
	}
	return len(f.Name) > 0
}
