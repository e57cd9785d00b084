//go:build !unix

package edge

// tryOffered takes nothing where one cannot write without waiting.
func (w *wire) tryOffered(uintptr) bool { return true }
