package exec

import (
	"bytes"
	"sync"
)

var buffers = sync.Pool{New: func() any { return &bytes.Buffer{} }}

// Buffer is an empty one to write a response's data to: one that has grown, if
// some were released.
func Buffer() *bytes.Buffer { return buffers.Get().(*bytes.Buffer) }

// maxReleased keeps the longest answers from being kept for ever.
const maxReleased = 1 << 20

// Release gives back what a response's data is in. Who calls it is the only one
// who has the data, and has it no longer; who does not need not.
func Release(data []byte) {
	if cap(data) > 0 && cap(data) <= maxReleased {
		buffers.Put(bytes.NewBuffer(data[:0]))
	}
}
