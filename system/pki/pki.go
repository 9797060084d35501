// Package pki says who is who. An Authority certifies the components of a
// stack, an Identity is what one replica proves with who it is when it calls
// another, and a Guard asks those who call. An Issuer signs the bearer tokens
// of users, and a Verifier checks them.
//
// The invariant is that doubt refuses: a token is believed only if one known
// key has signed exactly it, with the one algorithm there is, for this system
// and this moment; a caller only if its certificate is of this stack and it is
// on the list. And no secret leaves the process or the file of those who need
// it: none is an argument, in a log, or in a result.
package pki
