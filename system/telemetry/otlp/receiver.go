package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// HTTPPath is where exporters send traces over HTTP.
	HTTPPath = "/v1/traces"
	// grpcPath is the method of the gRPC service.
	grpcPath = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

	// MediaType is that of requests over HTTP.
	MediaType = "application/x-protobuf"

	requestLimit = 16 << 20
	receiveGrace = 2 * time.Second
)

// Receiver takes traces over OTLP, as HTTP with protobuf bodies and as gRPC,
// both on the same address.
type Receiver struct {
	// Take is given each request, from several goroutines, and may keep it. It
	// says how many spans of the request it could not use; an error says that
	// the request is none.
	Take func(request []byte) (rejected int, err error)
	// Also is the media type of other requests that are taken over HTTP, as they
	// are; "" is none.
	Also string
}

// Serve answers on l until ctx ends, and closes l.
func (r Receiver) Serve(ctx context.Context, l net.Listener) error {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: r.Handler(), Protocols: &protocols, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("receive traces: %w", err)
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), receiveGrace)
	defer cancel()
	if srv.Shutdown(ending) != nil {
		_ = srv.Close()
	}
	<-served //nolint:errcheck // it says that it was shut down
	return nil
}

// Handler answers both paths.
func (r Receiver) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+HTTPPath, r.overHTTP)
	mux.HandleFunc("POST "+grpcPath, r.overGRPC)
	return mux
}

// read reads a request whole; size is how long it is, as far as is known.
func read(from io.Reader, size int64) ([]byte, error) {
	b := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	if _, err := b.ReadFrom(io.LimitReader(from, requestLimit+1)); err != nil {
		return nil, err
	}
	if b.Len() > requestLimit {
		return nil, &http.MaxBytesError{Limit: requestLimit}
	}
	return b.Bytes(), nil
}

func (r Receiver) overHTTP(w http.ResponseWriter, req *http.Request) {
	kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil || kind != MediaType && (kind != r.Also || kind == "") {
		http.Error(w, "traces are taken as "+MediaType, http.StatusUnsupportedMediaType)
		return
	}
	body, size := io.Reader(req.Body), min(max(req.ContentLength, 0), requestLimit)
	switch encoding := req.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		zipped, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body, size = zipped, 0
	default:
		http.Error(w, "unknown encoding "+encoding, http.StatusUnsupportedMediaType)
		return
	}
	request, err := read(body, size)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	rejected, err := r.Take(request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", MediaType)
	_, _ = w.Write(answer(rejected))
}

// answer is an ExportTraceServiceResponse: empty when all is well.
func answer(rejected int) []byte {
	if rejected == 0 {
		return nil
	}
	partial := protowire.AppendTag(nil, 1, protowire.VarintType)
	partial = protowire.AppendVarint(partial, uint64(rejected))
	partial = appendBytes(partial, 2, "spans without a trace id of 16 or a span id of 8 bytes")
	return appendBytes(nil, 1, partial)
}

// The codes of gRPC that are used here.
const (
	grpcOK              = "0"
	grpcInvalidArgument = "3"
	grpcUnimplemented   = "12"
)

// overGRPC answers one unary call. Its framing is a flag and a length before
// each message, and trailers that say how it went.
func (r Receiver) overGRPC(w http.ResponseWriter, req *http.Request) {
	if req.ProtoMajor != 2 || !strings.HasPrefix(req.Header.Get("Content-Type"), "application/grpc") {
		http.Error(w, "this path is for gRPC", http.StatusUnsupportedMediaType)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Trailer", "Grpc-Status, Grpc-Message")
	message, code, err := r.call(req)
	if err != nil {
		h.Set("Grpc-Message", strings.Map(printable, err.Error()))
		h.Set("Grpc-Status", code)
		return
	}
	_, _ = w.Write(message)
	h.Set("Grpc-Status", grpcOK)
}

func (r Receiver) call(req *http.Request) (framed []byte, code string, err error) {
	b, err := read(req.Body, 0)
	if err != nil {
		return nil, grpcInvalidArgument, err
	}
	if len(b) < frameSize {
		return nil, grpcInvalidArgument, errors.New("the message is cut off")
	}
	compressed, body := b[0] != 0, b[frameSize:]
	if uint64(binary.BigEndian.Uint32(b[1:])) != uint64(len(body)) {
		return nil, grpcInvalidArgument, errors.New("the message is cut off")
	}
	if compressed {
		if req.Header.Get("Grpc-Encoding") != "gzip" {
			return nil, grpcUnimplemented, errors.New("messages are taken plain or as gzip")
		}
		zipped, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, grpcInvalidArgument, err
		}
		if body, err = read(zipped, 0); err != nil {
			return nil, grpcInvalidArgument, err
		}
	}
	rejected, err := r.Take(body)
	if err != nil {
		return nil, grpcInvalidArgument, err
	}
	message := answer(rejected)
	framed = binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	return append(framed, message...), grpcOK, nil
}

// frameSize is what stands before a message of gRPC.
const frameSize = 5

// printable keeps a message of gRPC fit for a header.
func printable(r rune) rune {
	if r < ' ' || r > '~' || r == '%' {
		return '.'
	}
	return r
}
