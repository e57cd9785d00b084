package seal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// LoadOrCreate reads the list of keys from a file, which it makes with one new
// key if there is none. Processes that race get the same key: the file appears
// whole or not at all, and the first one stays.
func LoadOrCreate(path string) (list string, err error) {
	list, err = load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return list, err
	}
	if err := create(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make the secret key file: %w", err)
	}
	return load(path)
}

func load(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the secret key file: %w", err)
	}
	list := strings.TrimSpace(string(content))
	if _, err := New(list); err != nil {
		return "", fmt.Errorf("secret key file %s: %w", path, err)
	}
	return list, nil
}

func create(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(dir, ".secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.WriteString(Generate() + "\n")
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	// A link, unlike a rename, never replaces the file of another process.
	if err := os.Link(temporary.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the new name durable: what is sealed from now on is lost
// without the file. Systems that cannot sync a folder keep names by themselves.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}
