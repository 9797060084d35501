package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"github.com/ordbench/ordbench/system/runtime/inside"
)

// helper is a container of the system's image within the network and among
// the processes of another one, with which it dies, or with a volume. It ends,
// undoing what it did, when the connection to it ends: also when this process
// is killed.
type helper struct {
	api      client.APIClient
	id       string
	attached client.HijackedResponse

	said  *io.PipeReader
	ended chan struct{} // closed when it has

	mu      sync.Mutex
	answers *json.Decoder
	broken  error // why it takes no orders any more
}

// helperLimit bounds the start of a helper and one order to it.
const helperLimit = 15 * time.Second

// might is what a helper is made of: who it is, what it may do, and to what.
type might struct {
	user   string
	caps   []string
	within string // the container in whose namespaces it is; "": alone, without a network
	mounts []mount.Mount
}

// help starts a helper.
func (f *fleet) help(ctx context.Context, m might) (*helper, error) {
	ctx, cancel := context.WithTimeout(ctx, helperLimit)
	defer cancel()
	api := f.engine.api
	network, processes := "none", ""
	if m.within != "" {
		network, processes = "container:"+m.within, "container:"+m.within
	}
	made, err := api.ContainerCreate(ctx, client.ContainerCreateOptions{
		Config: &container.Config{
			Image: f.images.system, Cmd: []string{"inside"}, User: m.user, Labels: f.labels(),
			AttachStdin: true, OpenStdin: true, StdinOnce: true, AttachStdout: true, AttachStderr: true,
		},
		HostConfig: &container.HostConfig{
			NetworkMode: container.NetworkMode(network),
			PidMode:     container.PidMode(processes),
			Mounts:      m.mounts,
			CapDrop:     []string{"ALL"},
			CapAdd:      m.caps,
			AutoRemove:  true,
			LogConfig:   container.LogConfig{Type: "none"},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make a helper: %w", err)
	}
	h := &helper{api: api, id: made.ID, ended: make(chan struct{})}
	attached, err := api.ContainerAttach(ctx, made.ID, client.ContainerAttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("attach to a helper: %w", err), h.remove())
	}
	h.attached = attached.HijackedResponse
	if _, err := api.ContainerStart(ctx, made.ID, client.ContainerStartOptions{}); err != nil {
		attached.Close()
		_ = h.remove() // some daemons have removed it already
		return nil, fmt.Errorf("start a helper: %w", err)
	}
	answers, said := io.Pipe()
	go func() {
		defer close(h.ended)
		var complaints strings.Builder
		_, err := stdcopy.StdCopy(said, &complaints, h.attached.Reader)
		if err == nil {
			err = errors.New("the helper has ended")
		}
		if text := strings.TrimSpace(complaints.String()); text != "" {
			err = errors.New(text)
		}
		_ = said.CloseWithError(err) // it never fails
	}()
	h.said, h.answers = answers, json.NewDecoder(answers)
	return h, nil
}

// ask gives one order and waits for its answer.
func (h *helper) ask(o inside.Order) (inside.Answer, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken != nil {
		return inside.Answer{}, h.broken
	}
	cut := time.AfterFunc(helperLimit, h.attached.Close)
	defer cut.Stop()
	var a inside.Answer
	err := json.NewEncoder(h.attached.Conn).Encode(o)
	if err == nil {
		err = h.answers.Decode(&a)
	}
	if err != nil {
		h.broken = fmt.Errorf("ask a helper: %w", err)
		return inside.Answer{}, h.broken
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// close lets go of the helper, which then undoes what it did.
func (h *helper) close() {
	h.attached.Close()
	_ = h.said.Close() // it never fails
}

// remove removes a helper that has not started.
func (h *helper) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), helperLimit)
	defer cancel()
	_, err := h.api.ContainerRemove(ctx, h.id, client.ContainerRemoveOptions{Force: true})
	return err
}
