package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/runtime/machine"
)

// What a stack in containers takes at most, with twenty consumers.
const (
	stackMemory = 3 << 30
	stackDisk   = 4 << 30
	stackFiles  = 4096
	// leastAPI is that of Docker 20.10.
	leastAPI = "1.41"
)

// Examine says what this runtime needs and what of it this machine has. It
// makes and pulls nothing, and answers within a few seconds.
func (r Runtime) Examine(ctx context.Context, scenario system.ImagesConfig) []machine.Finding {
	s, err := r.Survey(ctx, scenario)
	found := []machine.Finding{s.daemon(err)}
	if err == nil {
		found = append(found, s.api())
		for _, i := range s.Images {
			found = append(found, i.finding())
		}
		found = append(found, s.program())
		if _, err := os.Stat(s.Dir); s.Dir != "" && err == nil { // the daemon may be in a machine of its own
			found = append(found, machine.Disk("containers", s.Dir, stackDisk))
		}
	}
	return append(found, freePorts(), machine.Files(stackFiles), machine.Cores(), machine.Memory(stackMemory))
}

func (s Survey) daemon(err error) machine.Finding {
	f := machine.Finding{Need: "Docker daemon", State: machine.OK, Detail: fmt.Sprintf("Docker %s at %s", s.Version, s.Host)}
	if s.Says != "" && "unix://"+s.Says != s.Host {
		f.Detail += ", from " + s.Says
	}
	var none *UnavailableError
	switch {
	case errors.As(err, &none):
		f.State, f.Detail = machine.Missing, firstLine(none.Reason())
		f.Remedy = "install and start Docker 20.10 or later (apt-get install docker.io), or name a daemon in DOCKER_HOST"
		switch {
		case errors.Is(err, errElsewhere):
			f.Remedy = "take a daemon of this machine: DOCKER_HOST=unix://PATH"
		case errors.Is(err, os.ErrPermission):
			f.Remedy = "run as root, or join the group that owns the socket (usermod -aG docker $USER)"
		}
	case s.OS != "linux":
		f.State, f.Detail, f.Remedy = machine.Missing, s.Unfit().Error(), "switch the daemon to Linux containers"
	}
	return f
}

func (s Survey) api() machine.Finding {
	f := machine.Finding{Need: "Docker API", State: machine.OK, Detail: s.API}
	if older(s.API, leastAPI) {
		f.State, f.Detail = machine.Limited, s.API+", tried with "+leastAPI+" and later"
		f.Remedy = "install Docker 20.10 or later"
	}
	return f
}

// older compares versions such as 1.41; of what is none it says no.
func older(version, than string) bool {
	parse := func(text string) (major, minor int) {
		a, b, _ := strings.Cut(text, ".")
		major, _ = strconv.Atoi(a) // 0 for what is no number
		minor, _ = strconv.Atoi(b)
		return major, minor
	}
	a, b := parse(version)
	c, d := parse(than)
	return a > 0 && (a < c || a == c && b < d)
}

func (i ImageSurvey) finding() machine.Finding {
	f := machine.Finding{Need: "image of " + i.Product.Title, State: machine.OK, Detail: i.Image + " is on the daemon"}
	switch {
	case i.Missing != nil:
		f.State, f.Detail = machine.Missing, i.Image+": "+firstLine(i.Missing.Error())
		f.Remedy = fmt.Sprintf("build it (make images), or name another: --image %s=IMAGE or %s", i.Product.Name, i.Product.Variable)
	case !i.Present:
		f.Detail = i.Image + " will be pulled at the first boot"
	}
	return f
}

// program is this program, for the image that it is alone in.
func (s Survey) program() machine.Finding {
	f := machine.Finding{Need: "static program", State: machine.OK, Detail: "this one runs in an empty container"}
	if s.Binary != nil {
		f.State, f.Detail = machine.Limited, s.Binary.Error()+"; it is built at each boot, and --runtime auto takes local"
		f.Remedy = "build it with make build, or name one with --system-binary"
	}
	return f
}

// freePorts says whether there is room for the ports that containers publish.
func freePorts() machine.Finding {
	f := machine.Loopback()
	if f.State != machine.OK {
		return f
	}
	if below := ephemeral(); below <= portsFrom+1000 {
		f.State = machine.Limited
		f.Detail = fmt.Sprintf("the kernel gives ports from %d on to connections: one of ours may be taken while its container is down", below)
		f.Remedy = "sysctl net.ipv4.ip_local_port_range='32768 60999'"
	} else {
		f.Detail = fmt.Sprintf("127.0.0.1:%d to %d are published from", portsFrom, below-1)
	}
	if runtime.GOOS != "linux" {
		f.Detail += ", forwarded by the desktop"
	}
	return f
}
