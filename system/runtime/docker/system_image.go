package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/moby/moby/client"
)

const (
	systemRepository = "ordbench/system"
	mainPackage      = "github.com/ordbench/ordbench/cmd/ordbench"
	labelMade        = "org.ordbench.system"
)

// systemImage returns the image that holds this program and nothing else,
// named by what is in it: made once for each build of the program.
func (e *engine) systemImage(ctx context.Context, binary string, progress func(string)) (string, error) {
	info, err := e.api.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return "", err
	}
	if info.Os != "linux" {
		return "", fmt.Errorf("the daemon runs %s containers: Linux is needed", info.Os)
	}
	path, err := e.binary(ctx, binary, info.Arch, progress)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	image := systemRepository + ":" + hex.EncodeToString(sum[:8])
	if there, err := e.has(ctx, image); err != nil || there {
		return image, err
	}
	// An import makes a layer out of an archive: no builder, no base image,
	// and no container that a kill could leave behind.
	answer, err := e.api.ImageImport(ctx, client.ImageImportSource{Source: bytes.NewReader(layer(text)), SourceName: "-"}, image, client.ImageImportOptions{
		Changes: []string{`ENTRYPOINT ["/ordbench"]`, "LABEL " + labelMade + "=1"},
	})
	if err != nil {
		return "", err
	}
	defer answer.Close()
	if _, err := io.Copy(io.Discard, answer); err != nil {
		return "", err
	}
	if there, err := e.has(ctx, image); err != nil || !there {
		return "", errors.Join(err, errors.New("the daemon did not keep it"))
	}
	e.forgetOld(ctx, image)
	return image, nil
}

// layer is the archive of the whole file system: the program, and a place for
// temporary files.
func layer(program []byte) []byte {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	add := func(h tar.Header, text []byte) {
		h.Size, h.ModTime = int64(len(text)), time.Unix(0, 0) // the same program makes the same layer
		_ = w.WriteHeader(&h)                                 // a buffer takes everything
		_, _ = w.Write(text)
	}
	add(tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}, nil)
	add(tar.Header{Typeflag: tar.TypeDir, Name: "etc/", Mode: 0o755}, nil)
	add(tar.Header{Typeflag: tar.TypeReg, Name: "ordbench", Mode: 0o755}, program)
	_ = w.Close()
	return archive.Bytes()
}

// binary returns the path of this program for Linux on arch, static: as it
// was named, as it runs, or built anew.
func (e *engine) binary(ctx context.Context, named, arch string, progress func(string)) (string, error) {
	if path, err := ready(named, arch); err == nil || named != "" {
		return path, err
	}
	progress("building this program for Linux on " + arch)
	dir, err := stateDir("build")
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "ordbench-linux-"+arch)
	half := fmt.Sprintf("%s.%d", out, os.Getpid()) // two may build at once
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", half, mainPackage)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("this binary is not a static one for Linux on %s, and building one: %w\n%s\nBuild ordbench with `make build`, or name such a binary with --system-binary", arch, err, bytes.TrimSpace(text))
	}
	return out, os.Rename(half, out)
}

// ready returns the path of this program for Linux on arch where it need not
// be built.
func ready(named, arch string) (string, error) {
	if named != "" {
		return named, static(named, arch)
	}
	self, err := os.Executable()
	if err == nil && !isOrdbench() {
		err = errors.New("this process is not ordbench")
	}
	if err == nil {
		err = static(self, arch)
	}
	return self, err
}

// machines are the architectures as Go and as ELF call them.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// static says why the file at path does not run in an empty container.
func static(path, arch string) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%s is no Linux program: %w", path, err)
	}
	defer func() { _ = f.Close() }()
	if f.Machine != machines[arch] {
		return fmt.Errorf("%s is for %s, the daemon's machine is %s", path, f.Machine, arch)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is not static: build it with CGO_ENABLED=0", path)
		}
	}
	return nil
}

// oldAfter is when an image of another build is not needed any more.
const oldAfter = 24 * time.Hour

// forgetOld removes what earlier builds left. An image in use stays.
func (e *engine) forgetOld(ctx context.Context, but string) {
	found, err := e.api.ImageList(ctx, client.ImageListOptions{Filters: client.Filters{}.Add("label", labelMade)})
	if err != nil {
		return // the next build looks again
	}
	for _, i := range found.Items {
		if len(i.RepoTags) == 1 && i.RepoTags[0] != but && time.Since(time.Unix(i.Created, 0)) > oldAfter {
			_, _ = e.api.ImageRemove(ctx, i.ID, client.ImageRemoveOptions{}) // one in use is refused
		}
	}
}

// isOrdbench tells whether this process is ordbench, and not a test of it.
func isOrdbench() bool {
	build, ok := debug.ReadBuildInfo()
	return ok && build.Path == mainPackage
}
