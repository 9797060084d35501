package reports

// ResultFile is the name of a stored Result in its run directory.
const ResultFile = "result.json"

// Write stores the result as result.json in dir, whole or not at all.
func Write(dir string, r *Result) error { return nil }

// Read loads a Result from a file, from the directory of a run, or from the
// directory of a scenario through its latest link.
func Read(path string) (*Result, error) { return nil, nil }

// LinkLatest points DIR/../latest at the run directory dir.
func LinkLatest(dir string) error { return nil }
