package otlp

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// flat is a span as plain values, to compare two readings.
type flat struct {
	Service          string
	TraceID, ID, Up  string
	Name             string
	Kind             int32
	Start, End       uint64
	Status           int32
	Message          string
	Keys             []string
	Texts            []string
	Ints             []int64
	Doubles          []uint64
	LinkedTo, Linked []string
}

// ours reads a request with the Scanner.
func ours(request []byte) (spans []flat, malformed int, err error) {
	var s Scanner
	malformed, err = s.Scan(request, func(r *Resource, s *Span) error {
		f := flat{
			Service: string(r.Text("service.name")),
			TraceID: string(s.TraceID[:]), ID: string(s.ID[:]), Up: string(s.Parent[:]), Name: string(s.Name), Kind: int32(s.Kind),
			Start: s.Start, End: s.End, Status: s.Status, Message: string(s.Message),
		}
		for _, a := range s.Attributes {
			f.Keys, f.Texts = append(f.Keys, string(a.Key)), append(f.Texts, string(a.Text))
			f.Ints, f.Doubles = append(f.Ints, a.Int), append(f.Doubles, math.Float64bits(a.Double))
		}
		for _, l := range s.Links {
			f.LinkedTo, f.Linked = append(f.LinkedTo, string(l.TraceID[:])), append(f.Linked, string(l.ID[:]))
		}
		spans = append(spans, f)
		return nil
	})
	return spans, malformed, err
}

// theirs reads a request with the generated code.
func theirs(request []byte) (spans []flat, malformed int, err error) {
	var req collectorpb.ExportTraceServiceRequest
	if err := proto.Unmarshal(request, &req); err != nil {
		return nil, 0, err
	}
	for _, rs := range req.ResourceSpans {
		service := ""
		for _, a := range rs.GetResource().GetAttributes() {
			if _, known := plain(a.GetValue()); known && a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
				break
			}
		}
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				if len(s.TraceId) != 16 || len(s.SpanId) != 8 || len(s.ParentSpanId) != 8 && len(s.ParentSpanId) != 0 ||
					bytes.Equal(s.TraceId, make([]byte, 16)) || bytes.Equal(s.SpanId, make([]byte, 8)) {
					malformed++
					continue
				}
				f := flat{
					Service: service, TraceID: string(s.TraceId), ID: string(s.SpanId), Up: string(append(s.ParentSpanId, make([]byte, 8)...)[:8]),
					Name: s.Name, Kind: int32(s.Kind), Start: s.StartTimeUnixNano, End: s.EndTimeUnixNano,
					Status: int32(s.GetStatus().GetCode()), Message: s.GetStatus().GetMessage(),
				}
				for _, a := range s.Attributes {
					v, known := plain(a.GetValue())
					if !known {
						continue
					}
					f.Keys, f.Texts = append(f.Keys, a.Key), append(f.Texts, string(v.Text))
					f.Ints, f.Doubles = append(f.Ints, v.Int), append(f.Doubles, math.Float64bits(v.Double))
				}
				for _, l := range s.Links {
					if len(l.TraceId) == 16 && len(l.SpanId) == 8 {
						f.LinkedTo, f.Linked = append(f.LinkedTo, string(l.TraceId)), append(f.Linked, string(l.SpanId))
					}
				}
				spans = append(spans, f)
			}
		}
	}
	return spans, malformed, nil
}

// plain is a value of a kind that the Scanner keeps.
func plain(v *commonpb.AnyValue) (a Attribute, known bool) {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return Attribute{Text: []byte(v.StringValue)}, true
	case *commonpb.AnyValue_BoolValue:
		if v.BoolValue {
			a.Int = 1
		}
		return a, true
	case *commonpb.AnyValue_IntValue:
		return Attribute{Int: v.IntValue}, true
	case *commonpb.AnyValue_DoubleValue:
		return Attribute{Double: v.DoubleValue}, true
	}
	return a, false
}

// sample is a request with everything that a span may have.
func sample(t testing.TB) []byte {
	t.Helper()
	text := func(k, v string) *commonpb.KeyValue {
		return &commonpb.KeyValue{Key: k, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: v}}}
	}
	trace, id := bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 8)
	b, err := proto.Marshal(&collectorpb.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource: &resourcepb.Resource{Attributes: []*commonpb.KeyValue{text("service.name", "order")}},
		ScopeSpans: []*tracepb.ScopeSpans{{
			Scope: &commonpb.InstrumentationScope{Name: "scope"},
			Spans: []*tracepb.Span{
				{
					TraceId: trace, SpanId: id, ParentSpanId: bytes.Repeat([]byte{3}, 8), TraceState: "a=b", Name: "POST /orders",
					Kind: tracepb.Span_SPAN_KIND_SERVER, StartTimeUnixNano: 10, EndTimeUnixNano: 20, Flags: 1,
					Attributes: []*commonpb.KeyValue{
						text("http.route", "/orders"),
						{Key: "code", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: -3}}},
						{Key: "yes", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: true}}},
						{Key: "half", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: 0.5}}},
						{Key: "list", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{}}}},
						{Key: "raw", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_BytesValue{BytesValue: []byte{1}}}},
						{Key: "none"},
					},
					Events: []*tracepb.Span_Event{{Name: "thrown"}},
					Links:  []*tracepb.Span_Link{{TraceId: trace, SpanId: id}, {TraceId: []byte{1}, SpanId: id}},
					Status: &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: "broken"},
				},
				{TraceId: trace, SpanId: []byte{1, 2}, Name: "of no trace"},
			},
		}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestScannerReadsWhatTheGeneratedCodeReads(t *testing.T) {
	request := sample(t)
	got, bad, err := ours(request)
	if err != nil {
		t.Fatal(err)
	}
	want, wantBad, err := theirs(request)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || bad != wantBad {
		t.Errorf("%d malformed, want %d (-generated +scanned):\n%s", bad, wantBad, diff)
	}
	if len(got) != 1 || bad != 1 || got[0].Service != "order" {
		t.Errorf("%d spans of %+v, %d malformed", len(got), got, bad)
	}
}

func TestScannerRefusesWhatIsCutOff(t *testing.T) {
	request := sample(t)
	for n := 1; n < len(request); n++ {
		if _, _, err := ours(request[:n]); err == nil {
			if _, _, err := theirs(request[:n]); err != nil {
				t.Fatalf("the first %d of %d bytes were taken: the generated code says %v", n, len(request), err)
			}
		}
	}
}

// What the generated code takes, the Scanner takes, and reads the same.
func FuzzScan(f *testing.F) {
	f.Add(sample(f))
	f.Add([]byte{})
	f.Add(slices.Concat(sample(f), sample(f)))
	f.Fuzz(func(t *testing.T, request []byte) {
		got, bad, err := ours(request)
		want, wantBad, wantErr := theirs(request)
		if wantErr != nil {
			return // the Scanner may be less strict, for example about UTF-8
		}
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		if diff := cmp.Diff(want, got); diff != "" || bad != wantBad {
			t.Fatalf("%d malformed, want %d (-generated +scanned):\n%s", bad, wantBad, diff)
		}
	})
}

// What is appended is what the generated code reads.
func TestAppendedRequestIsOTLP(t *testing.T) {
	trace, id, up := TraceID{1, 2}, SpanID{3}, SpanID{4}
	span := AppendName(AppendStart(nil, trace, id, up, 1000), "process orders-topic", Consumer)
	span = AppendText(span, OfSpan, "group", "inventory-group")
	span = AppendInt(span, OfSpan, "offset", -1)
	span = AppendBool(span, OfSpan, "yes", true)
	span = AppendDouble(span, OfSpan, "half", math.Float64bits(0.5))
	span = AppendLink(span, Link{trace, up})
	span = AppendStatus(AppendEnd(span, 2000), StatusError, "gone")
	root := AppendEnd(AppendName(AppendStart(nil, trace, up, SpanID{}, 900), "POST /orders", Server), 990)
	list := AppendSpan(AppendSpan(nil, span), root)
	request := append(AppendRequest(nil, AppendText(nil, OfResource, "service.name", "inventory"), "scope", "schema", len(list)), list...)

	var req collectorpb.ExportTraceServiceRequest
	if err := proto.Unmarshal(request, &req); err != nil {
		t.Fatal(err)
	}
	if got := req.ResourceSpans[0].ScopeSpans[0]; got.Scope.Name != "scope" || got.SchemaUrl != "schema" || len(got.Spans) != 2 {
		t.Errorf("scope %+v", got)
	}
	got, bad, err := theirs(request)
	if err != nil || bad != 0 {
		t.Fatalf("%d malformed, %v", bad, err)
	}
	want := []flat{
		{
			Service: "inventory", TraceID: string(trace[:]), ID: string(id[:]), Up: string(up[:]), Name: "process orders-topic", Kind: int32(Consumer),
			Start: 1000, End: 2000, Status: StatusError, Message: "gone",
			Keys: []string{"group", "offset", "yes", "half"}, Texts: []string{"inventory-group", "", "", ""},
			Ints: []int64{0, -1, 1, 0}, Doubles: []uint64{0, 0, 0, math.Float64bits(0.5)},
			LinkedTo: []string{string(trace[:])}, Linked: []string{string(up[:])},
		},
		{Service: "inventory", TraceID: string(trace[:]), ID: string(up[:]), Up: string(make([]byte, 8)), Name: "POST /orders", Kind: int32(Server), Start: 900, End: 990},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func BenchmarkScan(b *testing.B) {
	request := sample(b)
	var s Scanner
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Scan(request, func(*Resource, *Span) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
