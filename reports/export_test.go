package reports

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

func TestTableOfLatenciesHasALineForEach(t *testing.T) {
	r := passed(t)
	var out bytes.Buffer
	if err := WriteCSV(&out, r); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if want := 1 + len(r.Latency) + len(r.Completion); len(rows) != want {
		t.Errorf("%d lines, want %d", len(rows), want)
	}
	if diff := cmp.Diff(csvHeader, rows[0]); diff != "" {
		t.Error(diff)
	}
}

// The buckets are those that Prometheus' own client fills from the same
// observations.
func TestNativeHistogramIsThatOfThePrometheusClient(t *testing.T) {
	for _, l := range []Latency{
		distribution(t, "place_order", "steady", ResponseClock, 5000, 3),
		distribution(t, "place_order", "steady", ResponseClock, 7, 900),
		distribution(t, "place_order", "steady", ResponseClock, 1, 0.001),
	} {
		theirs := prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "x", NativeHistogramBucketFactor: math.Pow(2, 1.0/(1<<nativeSchema)) + 1e-9,
		})
		h, err := l.Distribution()
		if err != nil {
			t.Fatal(err)
		}
		for _, bar := range h.Distribution() {
			for range bar.Count {
				theirs.Observe(float64(bar.To) / 1e6)
			}
		}
		var want dto.Metric
		if err := theirs.Write(&want); err != nil {
			t.Fatal(err)
		}
		got, err := native(l)
		if err != nil {
			t.Fatal(err)
		}
		if want.Histogram.GetSchema() != nativeSchema {
			t.Fatalf("their schema is %d", want.Histogram.GetSchema())
		}
		if diff := cmp.Diff(buckets(want.Histogram), buckets(got)); diff != "" {
			t.Errorf("buckets (-theirs +ours):\n%s", diff)
		}
		if got.GetSampleCount() != want.Histogram.GetSampleCount() || got.GetZeroThreshold() != want.Histogram.GetZeroThreshold() {
			t.Errorf("%d samples, zero below %g", got.GetSampleCount(), got.GetZeroThreshold())
		}
	}
}

// buckets are the counts by index.
func buckets(h *dto.Histogram) map[int32]int64 {
	all := map[int32]int64{}
	index, count, i := int32(0), int64(0), 0
	for _, span := range h.PositiveSpan {
		index += span.GetOffset()
		for range span.GetLength() {
			count += h.PositiveDelta[i]
			if count != 0 { // they bridge short gaps with empty buckets
				all[index] = count
			}
			index++
			i++
		}
	}
	return all
}

func TestPrometheusReadsWhatIsWritten(t *testing.T) {
	r := passed(t)
	var out bytes.Buffer
	if err := WritePrometheus(&out, r); err != nil {
		t.Fatal(err)
	}
	in := expfmt.NewDecoder(&out, expfmt.NewFormat(expfmt.TypeProtoDelim))
	families := map[string]int{}
	for {
		var f dto.MetricFamily
		err := in.Decode(&f)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		families[f.GetName()] = len(f.Metric)
	}
	if families["ordbench_latency_seconds"] == 0 || families["ordbench_attempts_total"] != 6*len(r.Phases) {
		t.Errorf("families %v", families)
	}
}
