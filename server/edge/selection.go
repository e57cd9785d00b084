package edge

import (
	"context"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// selectionLimit refuses operations whose selections are nested too deep, or
// that are too large with their fragments spread out: of 30 fragments each of
// which spreads the next one twice, a page of text, the last one is there 2^30
// times. The complexity limit would count them all before it refused; so this
// one comes first, and stops counting.
type selectionLimit struct{}

var _ graphql.OperationContextMutator = selectionLimit{}

func (selectionLimit) ExtensionName() string { return "SelectionLimit" }

func (selectionLimit) Validate(graphql.ExecutableSchema) error { return nil }

func (selectionLimit) MutateOperationContext(_ context.Context, o *graphql.OperationContext) *gqlerror.Error {
	c := counter{left: maxComplexity}
	c.count(o.Operation.SelectionSet, maxDepth)
	switch {
	case c.tooDeep:
		return refusal("DEPTH_LIMIT_EXCEEDED", "the operation is nested deeper than %d", maxDepth)
	case c.left < 0:
		return refusal("COMPLEXITY_LIMIT_EXCEEDED", "the operation has more than %d selections", maxComplexity)
	}
	return nil
}

func refusal(code, format string, args ...any) *gqlerror.Error {
	err := gqlerror.Errorf(format, args...)
	errcode.Set(err, code)
	return err
}

// counter counts selections down until there are too many or they are too deep.
type counter struct {
	left    int
	tooDeep bool
}

// count takes a selection with so many levels to go. Reading the schema itself
// is deep by nature and costs no statements: it is not looked into, but all of
// it is a long answer, which fits in a few times. Fragments have no cycles:
// validation comes first.
func (c *counter) count(set ast.SelectionSet, levels int) {
	for _, selection := range set {
		if c.left--; c.left < 0 || c.tooDeep {
			return
		}
		switch s := selection.(type) {
		case *ast.Field:
			switch {
			case s.Name == "__schema":
				c.left -= maxComplexity / 5
			case strings.HasPrefix(s.Name, "__"):
			case levels == 0:
				c.tooDeep = true
			default:
				c.count(s.SelectionSet, levels-1)
			}
		case *ast.InlineFragment:
			c.count(s.SelectionSet, levels)
		case *ast.FragmentSpread:
			c.count(s.Definition.SelectionSet, levels)
		}
	}
}
