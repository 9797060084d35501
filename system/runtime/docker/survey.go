package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"

	"github.com/ordbench/ordbench/system"
)

// Survey is what a daemon has for a stack, before anything is made or pulled.
type Survey struct {
	Host    string // "unix:///var/run/docker.sock"
	Says    string // who names the host
	Version string // of the daemon
	API     string // its version, "1.41"
	OS      string // of the containers
	Arch    string // "amd64"
	Dir     string // where the daemon keeps its data, on its machine
	Driver  string // of its storage
	Binary  error  // why this program has to be built before it runs in a container; nil: it need not
	Images  []ImageSurvey
}

// ImageSurvey is where the image of one product is.
type ImageSurvey struct {
	Product Product
	Image   string
	Present bool  // the daemon has it
	Missing error // why it can't be had; nil: it is present, or the registry has it
}

const (
	// surveyLimit is how long a daemon may take to answer a question, where
	// the answer is what counts.
	surveyLimit = 10 * time.Second
	// choiceLimit is the same where something else can be taken instead.
	choiceLimit = 2 * time.Second
	// registryLimit is how long a registry may take to say what it has.
	registryLimit = 3 * time.Second
)

// Survey asks the daemon, and the registries for what it has not. Where no
// daemon is to be found it answers at once, and else within seconds, whatever
// hangs. The error is an *UnavailableError.
func (r Runtime) Survey(ctx context.Context, scenario system.ImagesConfig) (Survey, error) {
	return r.survey(ctx, scenario, surveyLimit)
}

func (r Runtime) survey(ctx context.Context, scenario system.ImagesConfig, limit time.Duration) (Survey, error) {
	e, err := dial(ctx, limit)
	if err != nil {
		return Survey{}, err
	}
	defer func() { _ = e.Close() }()
	s := Survey{Host: e.host, Says: e.says}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	version, err := e.api.ServerVersion(limited, client.ServerVersionOptions{})
	if err != nil {
		return s, &UnavailableError{e.host, e.says, tooLong(ctx, limited, limit, err)}
	}
	s.Version, s.API, s.OS, s.Arch = version.Version, version.APIVersion, version.Os, version.Arch
	if info, err := e.api.Info(limited, client.InfoOptions{}); err == nil {
		s.Dir, s.Driver = info.Info.DockerRootDir, info.Info.Driver
	}
	_, s.Binary = ready(r.Binary, s.Arch)
	prefix := mirror(r.Images, scenario)
	var asked sync.WaitGroup
	s.Images = make([]ImageSurvey, len(Products()))
	for i, p := range Products() {
		asked.Go(func() {
			s.Images[i] = e.surveyImage(ctx, limited, p, p.candidates(p.choice(r.Images, scenario), prefix))
		})
	}
	asked.Wait()
	return s, nil
}

// surveyImage looks for one of the candidates on the daemon, while local
// lasts, and for the first of them in its registry.
func (e *engine) surveyImage(ctx, local context.Context, p Product, candidates []string) ImageSurvey {
	for _, image := range candidates {
		there, err := e.has(local, image)
		if err != nil {
			return ImageSurvey{Product: p, Image: image, Missing: err}
		}
		if there {
			return ImageSurvey{Product: p, Image: image, Present: true}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, registryLimit)
	defer cancel()
	found := ImageSurvey{Product: p, Image: candidates[0]}
	if _, err := e.api.DistributionInspect(ctx, found.Image, client.DistributionInspectOptions{}); err != nil {
		found.Missing = fmt.Errorf("the daemon does not have it, and can't get it: %w", err)
		if ctx.Err() != nil {
			found.Missing = fmt.Errorf("the daemon does not have it, and its registry does not answer within %s", registryLimit)
		}
	}
	return found
}

// Unfit says why a stack would not boot on the daemon as it is; nil: it
// would, maybe after images were pulled.
func (s Survey) Unfit() error {
	if s.OS != "linux" {
		return fmt.Errorf("the daemon runs %s containers: Linux is needed", s.OS)
	}
	for _, i := range s.Images {
		if i.Missing != nil {
			return &ImageError{i.Product, i.Image, i.Missing}
		}
	}
	return nil
}

// Pulls are the images that would have to be pulled.
func (s Survey) Pulls() []string {
	var images []string
	for _, i := range s.Images {
		if !i.Present && i.Missing == nil {
			images = append(images, i.Image)
		}
	}
	return images
}

// Choose decides for who has not: whether a stack of cfg is to run in
// containers, and why, in one line.
func (r Runtime) Choose(ctx context.Context, cfg system.Config) (yes bool, why string) {
	if err := supports(cfg); err != nil {
		return false, err.Error()
	}
	return choice(r.survey(ctx, cfg.Images, choiceLimit))
}

// choice is what a survey comes to.
func choice(s Survey, err error) (yes bool, why string) {
	var none *UnavailableError
	if errors.As(err, &none) {
		return false, "no Docker daemon: " + firstLine(none.Reason())
	}
	if err == nil {
		err = s.Unfit()
	}
	var image *ImageError
	switch {
	case errors.As(err, &image):
		return false, fmt.Sprintf("Docker %s has no image for %s: %s: %s", s.Version, image.Product.Title, image.Image, firstLine(image.Err.Error()))
	case err != nil:
		return false, firstLine(err.Error())
	case s.Binary != nil:
		return false, fmt.Sprintf("Docker %s is there, but %v", s.Version, s.Binary)
	}
	if pulls := s.Pulls(); len(pulls) > 0 {
		return true, fmt.Sprintf("Docker %s answers and can pull %s", s.Version, strings.Join(pulls, ", "))
	}
	return true, fmt.Sprintf("Docker %s answers and has every image", s.Version)
}

// supports says what of a system can't be had in containers.
func supports(cfg system.Config) error {
	if n := cfg.Gateway.Replicas; n > 1 {
		return fmt.Errorf("the docker runtime publishes one gateway, not %d", n)
	}
	if cfg.Database.URL != "" {
		return errors.New("the docker runtime has a PostgreSQL server of its own, and system.database.url names another")
	}
	return nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
