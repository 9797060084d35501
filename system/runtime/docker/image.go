package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/ordbench/ordbench/system"
)

// images are what the places of a fleet are made of.
type images struct{ kafka, redis, postgres, collector, system string }

// Product is one piece of infrastructure and where its image comes from.
type Product struct {
	Name     string // as in --image NAME=IMAGE and in a scenario's system.images
	Title    string
	Default  string // from a registry; "": there is none unless it is asked for
	Built    string // what `make images` makes, taken before the registry is asked
	Variable string // of the environment
	of       func(*system.ImagesConfig) *string
}

// Products lists the infrastructure of this runtime.
func Products() []Product {
	return []Product{
		{"kafka", "Apache Kafka", "apache/kafka:4.1.0", "ordbench/kafka:local", "ORDBENCH_KAFKA_IMAGE",
			func(c *system.ImagesConfig) *string { return &c.Kafka }},
		{"redis", "Redis", "redis:7.4", "ordbench/redis:local", "ORDBENCH_REDIS_IMAGE",
			func(c *system.ImagesConfig) *string { return &c.Redis }},
		{"postgres", "PostgreSQL", "postgres:17", "ordbench/postgres:local", "ORDBENCH_POSTGRES_IMAGE",
			func(c *system.ImagesConfig) *string { return &c.PostgreSQL }},
	}
}

// MirrorVariable names the registry mirror in the environment.
const MirrorVariable = "ORDBENCH_REGISTRY_MIRROR"

// SetImage sets one image, "kafka=registry.example/kafka:4.1".
func SetImage(to *system.ImagesConfig, arg string) error {
	name, image, ok := strings.Cut(arg, "=")
	var names []string
	for _, p := range Products() {
		if ok && image != "" && p.Name == name {
			*p.of(to) = image
			return nil
		}
		names = append(names, p.Name)
	}
	return fmt.Errorf("--image %s: want NAME=IMAGE, NAME one of %s", arg, strings.Join(names, ", "))
}

// choice is the image that was asked for: by flag, by the environment, by the
// scenario, in this order. Without any of them it is "".
func (p Product) choice(flags, scenario system.ImagesConfig) string {
	for _, image := range []string{*p.of(&flags), os.Getenv(p.Variable), *p.of(&scenario)} {
		if image != "" {
			return image
		}
	}
	return ""
}

// candidates are the images that would do, the first of which may be pulled.
func (p Product) candidates(choice, mirror string) []string {
	if choice != "" {
		return []string{mirrored(mirror, choice)}
	}
	return []string{mirrored(mirror, p.Default), p.Built}
}

// mirror is the prefix that was asked for: by flag, by the environment, by
// the scenario, in this order.
func mirror(flags, scenario system.ImagesConfig) string {
	for _, m := range []string{flags.Mirror, os.Getenv(MirrorVariable), scenario.Mirror} {
		if m != "" {
			return m
		}
	}
	return ""
}

// mirrored is the name of an image behind a mirror. One that names its own
// registry stays as it is.
func mirrored(mirror, image string) string {
	first, _, nested := strings.Cut(image, "/")
	if mirror == "" || nested && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return image
	}
	return strings.TrimSuffix(mirror, "/") + "/" + image
}

// ImageError says that an image is not to be had, and what to do.
type ImageError struct {
	Product Product
	Image   string
	Err     error
}

func (e *ImageError) Error() string {
	if e.Product.Default == "" {
		return fmt.Sprintf("image %s for %s: %v\nName another with --%s-image IMAGE or system.images.%[4]s, or leave it out", e.Image, e.Product.Title, e.Err, e.Product.Name)
	}
	return fmt.Sprintf("image %s for %s: %v\nName another with --image %s=IMAGE, %s or system.images.%s, build one with `make images`, or take --runtime local",
		e.Image, e.Product.Title, e.Err, e.Product.Name, e.Product.Variable, e.Product.Name)
}

func (e *ImageError) Unwrap() error { return e.Err }

// findImages decides on every image and pulls what is missing.
func (f *fleet) findImages(ctx context.Context) error {
	mirror := mirror(f.rt.Images, f.cfg.Images)
	found := map[string]string{}
	for _, p := range Products() {
		image, err := f.engine.find(ctx, p, p.choice(f.rt.Images, f.cfg.Images), mirror, f.rt.Progress)
		if err != nil {
			return err
		}
		found[p.Name] = image
	}
	collector := ""
	if image := f.cfg.Images.Collector; image != "" {
		var err error
		if collector, err = f.engine.find(ctx, collectorProduct, image, mirror, f.rt.Progress); err != nil {
			return err
		}
	}
	own, err := f.engine.systemImage(ctx, f.rt.Binary, f.rt.Progress)
	if err != nil {
		return fmt.Errorf("the system's own image: %w", err)
	}
	f.images = images{kafka: found["kafka"], redis: found["redis"], postgres: found["postgres"], collector: collector, system: own}
	return nil
}

// find returns the image of a product that is on the daemon, pulled if it has
// to be. A nil progress pulls nothing: a missing image is then an error.
func (e *engine) find(ctx context.Context, p Product, choice, mirror string, progress func(string)) (string, error) {
	candidates := p.candidates(choice, mirror)
	for _, image := range candidates {
		there, err := e.has(ctx, image)
		if err != nil {
			return "", &ImageError{p, image, err}
		}
		if there {
			return image, nil
		}
	}
	if progress == nil {
		return "", &ImageError{p, candidates[0], errors.New("it is not on the daemon")}
	}
	if err := e.pull(ctx, candidates[0], progress); err != nil {
		return "", &ImageError{p, candidates[0], err}
	}
	return candidates[0], nil
}

func (e *engine) has(ctx context.Context, image string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	_, err := e.api.ImageInspect(ctx, image)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// sayEvery is how often a pull tells how far it is.
const sayEvery = 2 * time.Second

// pull gets an image from its registry and tells how far it is.
func (e *engine) pull(ctx context.Context, image string, progress func(string)) error {
	progress("pulling " + image)
	answer, err := e.api.ImagePull(ctx, image, client.ImagePullOptions{})
	if err != nil {
		return err
	}
	defer answer.Close()
	type layer struct{ done, size int64 }
	layers := map[string]layer{}
	said := time.Now()
	for lines := json.NewDecoder(answer); lines.More(); {
		var line struct {
			ID       string `json:"id"`
			Error    string `json:"error"`
			Status   string `json:"status"`
			Progress struct {
				Current int64 `json:"current"`
				Total   int64 `json:"total"`
			} `json:"progressDetail"`
		}
		if err := lines.Decode(&line); err != nil {
			return err
		}
		if line.Error != "" {
			return errors.New(line.Error)
		}
		if line.Status == "Downloading" {
			layers[line.ID] = layer{line.Progress.Current, line.Progress.Total}
		}
		if time.Since(said) < sayEvery {
			continue
		}
		said = time.Now()
		var sum layer
		for _, l := range layers {
			sum.done, sum.size = sum.done+l.done, sum.size+l.size
		}
		progress(fmt.Sprintf("pulling %s: %d of %d MB", image, sum.done>>20, sum.size>>20))
	}
	there, err := e.has(ctx, image)
	if err == nil && !there {
		err = errors.New("the registry did not send it")
	}
	return err
}
