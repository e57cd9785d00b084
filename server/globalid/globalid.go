// Package globalid owns the ids that the API shows: a kind, an underscore and a
// UUID (or the number of a log entry) in lower-case base32. Clients treat them
// as opaque. Values are immutable and safe for concurrent use; an id that
// parses is of exactly one kind.
package globalid

import (
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/google/uuid"
)

// ErrInvalid is returned for text that no Parley made.
var ErrInvalid = errors.New("not an id of this API")

var encoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// ID names one thing of one kind.
type ID struct {
	Kind string
	UUID uuid.UUID
}

// Of names the thing of a kind with a UUID.
func Of(kind string, u uuid.UUID) ID { return ID{kind, u} }

// OfNumber names the entry of a log.
func OfNumber(kind string, n int64) ID {
	id := ID{Kind: kind}
	binary.BigEndian.PutUint64(id.UUID[8:], uint64(n))
	return id
}

// Number is the inverse of OfNumber.
func (id ID) Number() int64 { return int64(binary.BigEndian.Uint64(id.UUID[8:])) }

func (id ID) String() string { return id.Kind + "_" + encoding.EncodeToString(id.UUID[:]) }

// Parse reads an id of any kind.
func Parse(s string) (ID, error) {
	kind, rest, ok := strings.Cut(s, "_")
	var id ID
	if !ok || !isKind(kind) || len(rest) != encoding.EncodedLen(len(id.UUID)) {
		return ID{}, ErrInvalid
	}
	if n, err := encoding.Decode(id.UUID[:], []byte(rest)); err != nil || n != len(id.UUID) {
		return ID{}, ErrInvalid
	}
	if id.Kind = kind; id.String() != s {
		return ID{}, ErrInvalid
	}
	return id, nil
}

// isKind holds for lower-case letters, which need no quoting anywhere.
func isKind(s string) bool { return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == "" }

// MarshalGQL writes the scalar ID, of which nothing needs quoting.
func (id ID) MarshalGQL(w io.Writer) {
	var space [64]byte
	text := append(append(append(space[:0], '"'), id.Kind...), '_')
	_, _ = w.Write(append(encoding.AppendEncode(text, id.UUID[:]), '"'))
}

// UnmarshalGQL reads the scalar ID.
func (id *ID) UnmarshalGQL(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("an id is a string: %w", ErrInvalid)
	}
	parsed, err := Parse(s)
	*id = parsed
	return err
}
