// Package pki says who is who. An Issuer signs the bearer tokens of users, and
// a Verifier checks them against the issuer's keys.
//
// The invariant is that doubt refuses: a token is believed only if one known
// key has signed exactly it, with the one algorithm there is, for this system
// and this moment. And no secret leaves the process or the file of those who
// need it: none is an argument, in a log, or in a result.
package pki
