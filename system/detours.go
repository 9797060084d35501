package system

// Detours is a process of a runtime's own that stands in links, and the
// configuration that it was given.
type Detours struct {
	Addr    string   `json:"-"`       // host:port where it takes orders, from here
	Control string   `json:"control"` // the same, from where it runs
	Token   string   `json:"token"`   // whoever gives orders has to know it
	Routes  []Detour `json:"routes"`
}

// Detour is one address of a link that leads through it.
type Detour struct {
	Link     string `json:"link"`     // "gateway->order"
	Listen   string `json:"listen"`   // host:port, where clients connect to
	Upstream string `json:"upstream"` // host:port, where their connections go to
}

// Detoured is a Fleet that puts the proxies of Config.Links in place itself.
type Detoured interface {
	// Detours returns what stands in the links; nil: no link was asked for.
	Detours() *Detours
}

// Detours returns what the runtime has put into the links of the stack; nil:
// nothing, and Config.Through was asked.
func (s *Stack) Detours() *Detours {
	if f, ok := s.fleet.(Detoured); ok {
		return f.Detours()
	}
	return nil
}
