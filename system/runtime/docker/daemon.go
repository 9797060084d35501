package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// systemSocket is where the daemon of the machine listens.
var systemSocket = "/var/run/docker.sock"

// daemonHost is the address of the daemon that the docker command would talk
// to, and who says so: the variable DOCKER_HOST, docker's context, or a socket
// in one of the usual places. Nobody is asked.
func daemonHost() (host, says string, err error) {
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		return host, "DOCKER_HOST", nil
	}
	home, _ := os.UserHomeDir() // without a home there is nothing to find in it
	if host, name := contextHost(filepath.Join(home, ".docker")); host != "" {
		return host, "docker's context " + name, nil
	}
	for _, socket := range []string{
		systemSocket,
		filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "docker.sock"),
		filepath.Join(home, ".docker", "run", "docker.sock"),
		filepath.Join(home, ".docker", "desktop", "docker.sock"),
	} {
		if info, err := os.Stat(socket); err == nil && info.Mode()&os.ModeSocket != 0 {
			return "unix://" + socket, socket, nil
		}
	}
	return "", "", errNoDaemon
}

var errNoDaemon = errors.New("there is no socket /var/run/docker.sock, and DOCKER_HOST is not set")

// contextHost is the host of the context that is in use below a directory of
// docker's configuration; "" where that is the default one.
func contextHost(dir string) (host, name string) {
	if other := os.Getenv("DOCKER_CONFIG"); other != "" {
		dir = other
	}
	if name = os.Getenv("DOCKER_CONTEXT"); name == "" {
		var config struct {
			CurrentContext string `json:"currentContext"`
		}
		text, err := os.ReadFile(filepath.Join(dir, "config.json"))
		if err != nil || json.Unmarshal(text, &config) != nil {
			return "", ""
		}
		name = config.CurrentContext
	}
	if name == "" || name == "default" {
		return "", ""
	}
	sum := sha256.Sum256([]byte(name))
	text, err := os.ReadFile(filepath.Join(dir, "contexts", "meta", hex.EncodeToString(sum[:]), "meta.json"))
	if err != nil {
		return "", ""
	}
	return parseContext(text), name
}

// parseContext is the host that the metadata of a docker context name; "" if
// they name none.
func parseContext(text []byte) string {
	var meta struct {
		Endpoints struct {
			Docker struct{ Host string } `json:"docker"`
		}
	}
	if json.Unmarshal(text, &meta) != nil {
		return ""
	}
	return meta.Endpoints.Docker.Host
}

// errElsewhere says that a daemon answers, but publishes where this process
// can't reach it.
var errElsewhere = errors.New("containers publish on the loopback interface of the daemon's machine only")

// UnavailableError says that there is no daemon to work with, and what to do.
type UnavailableError struct {
	Host string // "": there is no address
	Says string // who names the host
	Err  error
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("no Docker daemon to work with: %s\nStart one, or name it in DOCKER_HOST, or take --runtime local", e.Reason())
}

// Reason is what is wrong, in one line.
func (e *UnavailableError) Reason() string {
	if e.Host == "" {
		return e.Err.Error()
	}
	if e.Host == "unix://"+e.Says {
		return fmt.Sprintf("%s: %v", e.Host, e.Err)
	}
	return fmt.Sprintf("%s (from %s): %v", e.Host, e.Says, e.Err)
}

func (e *UnavailableError) Unwrap() error { return e.Err }
