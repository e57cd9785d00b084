//go:build unix

package edge

import "syscall"

// tryOffered writes once and waits for nothing.
func (w *wire) tryOffered(fd uintptr) bool {
	n, err := syscall.Write(int(fd), w.offered)
	for err == syscall.EINTR {
		n, err = syscall.Write(int(fd), w.offered)
	}
	w.taken = max(n, 0)
	return true
}
