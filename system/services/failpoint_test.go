package services_test

import (
	"slices"
	"testing"

	"github.com/ordbench/ordbench/system/failpoint"
)

func TestTheServicesHaveTheFailpointsOfTheCatalogue(t *testing.T) {
	want, have := failpoint.Catalogue(""), failpoint.Names()
	slices.Sort(want)
	if !slices.Equal(want, have) {
		t.Errorf("the services have %q, the catalogue %q", have, want)
	}
}
