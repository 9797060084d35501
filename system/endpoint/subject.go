package endpoint

import "net/http"

// SubjectField names, between services, the customer for whom a request
// speaks. The gateway sets it from the bearer token and lets nobody else.
// Where it is missing, the request may speak for any customer.
const SubjectField = "X-Subject"

// MayActFor says whether a request may order for, and see the orders of, that
// customer.
func MayActFor(r *http.Request, customer string) bool {
	subject := r.Header[SubjectField]
	return len(subject) == 0 || len(subject) == 1 && subject[0] == customer
}
