// This program is a collector of traces for a test: it takes OTLP on port 4318
// and says on port 16686 how many spans it got. With an argument it fails.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/ordbench/ordbench/system/telemetry/otlp"
)

func main() {
	if len(os.Args) > 1 {
		fmt.Fprintln(os.Stderr, "it does not start")
		os.Exit(1)
	}
	var spans atomic.Int64
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", ":4318")
	if err == nil {
		go func() {
			err := http.ListenAndServe(":16686", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintln(w, spans.Load())
			}))
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}()
		err = otlp.Receiver{Take: func(request []byte) (int, error) {
			var scanner otlp.Scanner
			return scanner.Scan(request, func(*otlp.Resource, *otlp.Span) error {
				spans.Add(1)
				return nil
			})
		}}.Serve(context.Background(), l)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
