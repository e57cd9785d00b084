package eventlog

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
)

// Cursor is a position as clients keep it: with the epoch, so that one of
// another history is recognised.
func (l *Log) Cursor(position int64) string {
	return base64.RawURLEncoding.EncodeToString([]byte(l.epoch + ":" + strconv.FormatInt(position, 10)))
}

// Position reads a client's cursor. Anything that this log did not write is
// ErrUnknown.
func (l *Log) Position(ctx context.Context, cursor string) (int64, error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return 0, ErrUnknown
	}
	_, number, _ := strings.Cut(string(text), ":")
	position, err := strconv.ParseInt(number, 10, 64)
	if err != nil || position < 0 || l.Cursor(position) != cursor { // another epoch, or another way to write it
		return 0, ErrUnknown
	}
	if position > l.Head() { // another replica may be ahead of this one, but not of the database
		end, err := l.end(ctx)
		if err != nil {
			return 0, err
		}
		if position > end {
			return 0, ErrUnknown
		}
	}
	return position, nil
}
