package desk

import (
	"fmt"
	"slices"
	"strings"
)

// The variables that a prepared text may have, as they are written.
const (
	contactName  = "contact.name"
	operatorName = "operator.name"
	channelName  = "channel.name"
	queueName    = "queue.name"
)

var variables = []string{contactName, operatorName, channelName, queueName}

// piece of a text: what stands there, or the name of a variable.
type piece struct {
	text       string
	isVariable bool
}

// pieces takes a prepared text apart: "{contact.name}" is a variable, "\{" is a
// brace, and all else is what it is. (A doubled brace for one, as other templates
// have it, would take "{{contact.name}}", which people know from elsewhere, for a
// text in braces; so it is a mistake, and they are told.)
func pieces(text string) ([]piece, error) {
	var all []piece
	for {
		before, after, found := strings.Cut(text, "{")
		if !found {
			return append(all, piece{text: before}), nil
		}
		if before, escaped := strings.CutSuffix(before, `\`); escaped {
			all, text = append(all, piece{text: before + "{"}), after
			continue
		}
		name, rest, closed := strings.Cut(after, "}")
		if !closed || !slices.Contains(variables, name) {
			return nil, fmt.Errorf(`there is no variable {%.40s}; there are {%s}, and a brace is written \{`,
				name, strings.Join(variables, "}, {"))
		}
		all, text = append(all, piece{text: before}, piece{name, true}), rest
	}
}

// fill puts values into a text that was checked when it was saved. A variable
// that has none stays as it is written, for whoever sends the text to see.
func fill(text string, values map[string]string) (filled string, missing []string) {
	missing = []string{}
	all, err := pieces(text)
	if err != nil { // of a variable that there is no more
		return text, missing
	}
	var b strings.Builder
	for _, p := range all {
		switch value := values[p.text]; {
		case !p.isVariable:
			b.WriteString(p.text)
		case value != "":
			b.WriteString(value)
		default:
			b.WriteString("{" + p.text + "}")
			if !slices.Contains(missing, p.text) {
				missing = append(missing, p.text)
			}
		}
	}
	return b.String(), missing
}
