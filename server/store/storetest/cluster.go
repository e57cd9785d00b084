package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// start makes a cluster in a temporary folder and waits until it answers.
// Durability is off: only the project's crash tests of its own process need it,
// and a killed client loses nothing in a server that lives on.
func (c *cluster) start() error {
	bin, err := binaries()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "parley-postgres-")
	if err != nil {
		return err
	}
	as, err := unprivileged(dir)
	if err != nil {
		return err
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", dir+"/data", "-U", "postgres", "-A", "trust", "-N", "--locale=C", "-E", "UTF8")
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", dir+"/data", "-p", strconv.Itoa(port), "-k", dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=300", "-c", "shared_buffers=64MB")
	server.SysProcAttr = dieWithParent(as)
	started := make(chan error)
	go func() {
		// The kernel ends the server when the thread that started it ends.
		runtime.LockOSThread()
		started <- server.Start()
		select {}
	}()
	if err := <-started; err != nil {
		return err
	}
	c.base = fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%%s?sslmode=disable", port)
	c.stop = func() {
		_ = server.Process.Signal(syscall.SIGQUIT)
		_ = server.Wait()
		_ = os.RemoveAll(dir)
	}
	return c.awaitReady(filepath.Join(bin, "pg_isready"), port)
}

func (c *cluster) awaitReady(isReady string, port int) error {
	for range 300 {
		if exec.Command(isReady, "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(port)).Run() == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.stop()
	return errors.New("PostgreSQL did not start within 15 s")
}

// binaries finds the newest installed server.
func binaries() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errors.New("no PostgreSQL server programs found and TEST_DATABASE_URL is not set")
	}
	return filepath.Dir(path), nil
}

// unprivileged gives the folder to a user that PostgreSQL agrees to run as.
func unprivileged(dir string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		if account, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, uid, gid)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
