package messenger

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Class is what an error of Facebook's means for what to do next.
type Class string

// The classes. Only ClassTransient and ClassRateLimited are worth sending again unchanged.
const (
	ClassTransient    Class = "transient"     // it may work in a moment; the request was not carried out
	ClassRateLimited  Class = "rate_limited"  // too many calls; see RetryAfter
	ClassToken        Class = "token"         // the page's token is dead: somebody must log in again
	ClassWindowClosed Class = "window_closed" // too long since the person last wrote
	ClassNotOwner     Class = "not_owner"     // another app has the thread
	ClassRecipient    Class = "recipient"     // this person cannot be reached
	ClassPermission   Class = "permission"    // the app or the login may not do this
	ClassRestricted   Class = "restricted"    // Facebook restricts the page or app for breaking its policies
	ClassInvalid      Class = "invalid"       // the request itself is wrong
	ClassUnconfirmed  Class = "unconfirmed"   // the answer was lost: it may or may not have been carried out
)

// Reason is the class in words for operators.
func (c Class) Reason() string {
	switch c {
	case ClassTransient:
		return "Facebook is temporarily unavailable."
	case ClassRateLimited:
		return "Facebook's limit of calls is reached for now."
	case ClassToken:
		return "The page's authorization has ended; an administrator must connect the page again."
	case ClassWindowClosed:
		return "The time in which Facebook allows an answer has passed."
	case ClassNotOwner:
		return "Another app controls this conversation at the moment."
	case ClassRecipient:
		return "This person cannot be reached at the moment."
	case ClassPermission:
		return "The Facebook app lacks a permission for this."
	case ClassRestricted:
		return "Facebook has restricted the page or the app."
	case ClassUnconfirmed:
		return "Facebook's answer was lost; it is not known whether the message went out."
	case "":
		return ""
	}
	return "Facebook refused the request."
}

// Error is a refusal by Facebook, or the failure to get its answer (Code 0). Its text is safe for logs.
type Error struct {
	Code, Subcode, HTTPStatus int
	Type, Message, TraceID    string
	Transient                 bool          // Facebook's own word
	RetryAfter                time.Duration // 0 if Facebook did not say
	Class                     Class
	Problem                   Problem // "" where the class says all there is to say

	cause error // a failure below HTTP, without its URL
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "facebook: %s", e.Class)
	if e.Code != 0 {
		fmt.Fprintf(&b, ", code %d/%d", e.Code, e.Subcode)
	}
	if e.HTTPStatus != 0 {
		fmt.Fprintf(&b, ", HTTP %d", e.HTTPStatus)
	}
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Message)
	}
	if e.TraceID != "" {
		fmt.Fprintf(&b, " (trace %s)", e.TraceID)
	}
	return b.String()
}

// Reason is what is wrong in words for operators and administrators.
func (e *Error) Reason() string {
	if words := e.Problem.Reason(); words != "" {
		return words
	}
	return e.Class.Reason()
}

func (e *Error) Unwrap() error { return e.cause }

// ClassOf gives the class of an error of a Client; "" for nil. An error of other origin is ClassUnconfirmed, since
// nothing is known of what it left behind.
func ClassOf(err error) Class {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Class
	}
	return ClassUnconfirmed
}

// What codes and subcodes mean, by the error table of 25 Jun 2026, the edge references of Oct 2026 and, where marked,
// observation. A subcode says more than its code; some are documented as a code of their own, too.
var (
	classOfSubcode = map[int]Class{
		2018278: ClassWindowClosed, 2018065: ClassWindowClosed,
		2018300: ClassNotOwner, 2534037: ClassNotOwner,
		2018321: ClassNotOwner, // an automated flow of Messenger has the thread
		2018108: ClassRecipient, 2018001: ClassRecipient, 2018218: ClassRecipient, 1545041: ClassRecipient,
		2018336: ClassRestricted, 1893063: ClassRestricted,
		2018171: ClassPermission, 2018234: ClassPermission, 2018247: ClassPermission,
		456: ClassToken, 457: ClassToken, 458: ClassToken, 459: ClassToken, 460: ClassToken, 461: ClassToken,
		462: ClassToken, 463: ClassToken, 464: ClassToken, 465: ClassToken, 466: ClassToken, 467: ClassToken,
		468: ClassToken, 492: ClassToken, // me/accounts documents some of them as codes
	}
	classOfCode = map[int]Class{
		1: ClassTransient, 2: ClassTransient,
		4: ClassRateLimited, 17: ClassRateLimited, 32: ClassRateLimited, 341: ClassRateLimited, 613: ClassRateLimited,
		80006: ClassRateLimited, // observed
		102:   ClassToken, 190: ClassToken,
		1545041: ClassWindowClosed, // as a code; as a subcode it speaks of the person
		10:      ClassPermission, 200: ClassPermission, 210: ClassPermission, 230: ClassPermission,
		368: ClassRestricted,
		551: ClassRecipient, 9000001: ClassRecipient,
	}
)

// classify decides by code and subcode: Facebook's HTTP status is mostly 400 whatever happened (error guide, Oct 2026).
func classify(code, subcode int, transient bool) Class {
	if c, ok := classOfSubcode[subcode]; ok {
		return c
	}
	if c, ok := classOfCode[code]; ok {
		return c
	}
	if c, ok := classOfSubcode[code]; ok {
		return c
	}
	if transient {
		return ClassTransient
	}
	return ClassInvalid
}
