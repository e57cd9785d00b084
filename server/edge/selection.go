package edge

import (
	"context"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// depthLimit refuses operations whose selections are nested too deep. Reading
// the schema itself is deep by nature and costs no statements: it is left out.
type depthLimit struct{}

var _ graphql.OperationContextMutator = depthLimit{}

func (depthLimit) ExtensionName() string { return "DepthLimit" }

func (depthLimit) Validate(graphql.ExecutableSchema) error { return nil }

func (depthLimit) MutateOperationContext(_ context.Context, o *graphql.OperationContext) *gqlerror.Error {
	if deeper(o.Operation.SelectionSet, maxDepth) {
		err := gqlerror.Errorf("the operation is nested deeper than %d", maxDepth)
		errcode.Set(err, "DEPTH_LIMIT_EXCEEDED")
		return err
	}
	return nil
}

// deeper says whether a selection has more than so many levels. Fragments have
// no cycles: validation comes first.
func deeper(set ast.SelectionSet, levels int) bool {
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			if !strings.HasPrefix(s.Name, "__") && (levels == 0 || deeper(s.SelectionSet, levels-1)) {
				return true
			}
		case *ast.InlineFragment:
			if deeper(s.SelectionSet, levels) {
				return true
			}
		case *ast.FragmentSpread:
			if deeper(s.Definition.SelectionSet, levels) {
				return true
			}
		}
	}
	return false
}
