// Package fault owns the errors that a caller is meant to see: a code from a
// short list, the input field at fault, and fixed plain text. Every other error
// is internal, and the edges say no more of it than that it happened. Values
// are immutable and safe for concurrent use.
package fault

import (
	"errors"
	"fmt"
)

// Code says what kind of mistake it was. Each edge has one map from codes to
// its own terms.
type Code string

// The codes. Those before Unauthenticated are expected failures of a mutation
// and are shown as its userErrors; the rest end the request.
const (
	Invalid     Code = "INVALID"     // a field has a value that cannot be
	NotFound    Code = "NOT_FOUND"   // no such thing, or not yours to see
	NameTaken   Code = "NAME_TAKEN"  // a natural key is in use; the message names the existing id
	Conflict    Code = "CONFLICT"    // somebody else was first, or the thing has moved on
	LimitHit    Code = "LIMIT_HIT"   // a limit of the product, such as simultaneous chats
	Refused     Code = "REFUSED"     // a rule forbids it now, such as a closed reply window
	Unavailable Code = "UNAVAILABLE" // an outside system refused or did not answer
	KeyReused   Code = "KEY_REUSED"  // an idempotency key came again with another input

	SetupIncomplete Code = "SETUP_INCOMPLETE" // an administrator has something to set first
	TakeOverNeeded  Code = "TAKE_OVER_NEEDED" // another installation has it, and must be taken over knowingly

	Unauthenticated Code = "UNAUTHENTICATED" // no valid token
	Forbidden       Code = "FORBIDDEN"       // the role may not do this at all
	RateLimited     Code = "RATE_LIMITED"    // too many attempts; try later
	Overloaded      Code = "OVERLOADED"      // try later
)

// Error is an error for the caller. Field is the path of the input field, or
// empty.
type Error struct {
	Code    Code
	Field   string
	Message string
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// New makes an error with a formatted message, which must hold nothing that
// the caller may not know.
func New(code Code, field, format string, args ...any) error {
	return &Error{code, field, fmt.Sprintf(format, args...)}
}

// CodeOf is the code of an error for the caller, or empty for an internal one.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
