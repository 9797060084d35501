// Command ordbench boots an event-driven order system, drives it with
// open-loop traffic, breaks it on purpose, and says with evidence whether it
// kept its promises.
package main

import (
	"os"
)

func main() {
	os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr))
}
