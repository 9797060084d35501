package chaos

import (
	"slices"
	"strings"
)

// The runtimes that differ in what can be broken on them, by their names.
const (
	onLocal  = "local"
	onDocker = "docker"
)

// located is a system that says which runtime it runs on; a Stack does.
type located interface{ Runtime() string }

// CheckOn says why a valid Spec can't be made on a runtime; nil: it can, as
// far as that can be told before there is a system.
func (s Spec) CheckOn(runtime string) *UsageError {
	d, known := Find(s.Fault)
	if !known {
		return nil // Validate says so
	}
	if why := d.NotOn[runtime]; why != "" {
		return &UsageError{Field: "fault", Message: d.Name + " can't be made on the " + runtime + " runtime: " + why, Hint: "ordbench chaos list shows what can be made where", elsewhere: true}
	}
	if part, only := d.TargetsOn[runtime]; only {
		if component, _ := s.component(); !slices.Contains(part.Targets, component) {
			return &UsageError{Field: "target", Message: d.Name + " can't be made on " + component + " on the " + runtime + " runtime: " + part.Else, Hint: "it works on " + strings.Join(part.Targets, ", ")}
		}
	}
	if runtime == onLocal && slices.ContainsFunc(s.LinksOf(), func(link string) bool { return strings.HasSuffix(link, "->"+database) }) {
		return &UsageError{Field: "target", Message: "on the local runtime the databases are files of the services: there is no link to disturb", Hint: "take slow-database or failing-database, or --runtime docker"}
	}
	if component, _ := s.component(); d.on == onReplicas && component == database && runtime == onLocal {
		return &UsageError{Field: "target", Message: "on the local runtime the databases are files of the services: there is no process to break", Hint: "target the service, or take --runtime docker"}
	}
	if component, _ := s.component(); d.lever && runtime == onDocker && !slices.Contains(services, component) {
		return &UsageError{Field: "target", Message: d.Name + " can't be made on " + component + " on the docker runtime: that is no program of ours, and has no levers", Hint: "it works on " + strings.Join(services, ", ")}
	}
	for _, n := range d.Needs {
		if why := n.lacking(runtime); why != "" {
			return &UsageError{Field: "fault", Message: d.Name + " can't be made here: it needs " + n.What + ": " + why}
		}
	}
	return nil
}

// lacking says why what is needed on a runtime is not there; "" if it is, or
// if it is not needed there.
func (n Need) lacking(runtime string) string {
	if n.On != "" && runtime != "" && n.On != runtime {
		return ""
	}
	return lacking(n.What)
}

// RunsOn says whether the fault can be made on a runtime of this machine; why
// is what stands against it.
func (d Definition) RunsOn(runtime string) (runs bool, why string) {
	if why := d.NotOn[runtime]; why != "" {
		return false, why
	}
	i := slices.IndexFunc(d.Needs, func(n Need) bool { return n.Missing != "" && (n.On == "" || n.On == runtime) })
	if i < 0 {
		return true, ""
	}
	return false, d.Needs[i].Missing
}
