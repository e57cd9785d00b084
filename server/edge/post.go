package edge

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"parley/graph/exec"
)

// posts is GraphQL over HTTP POST: the library's, but that it reads the body once
// and does not read the answer again to write it, and that it compresses.
type posts struct{}

var _ graphql.Transport = posts{}

const (
	plainJSON    = "application/json"
	responseJSON = "application/graphql-response+json"
)

// Supports a request in JSON.
func (posts) Supports(r *http.Request) bool {
	return r.Method == http.MethodPost && r.Header.Get("Upgrade") == "" && isType(r.Header.Get("Content-Type"), plainJSON)
}

// Do answers with one response.
func (posts) Do(w http.ResponseWriter, r *http.Request, executor graphql.GraphExecutor) {
	params, _ := r.Context().Value(paramsKey{}).(*graphql.RawParams) // readBody has put it there
	params.Headers = r.Header
	w.Header().Set("Content-Type", answerType(r.Header.Get("Accept")))
	operation, refused := executor.CreateOperationContext(r.Context(), params)
	if refused != nil {
		response := executor.DispatchError(graphql.WithOperationContext(r.Context(), operation), refused)
		answer(w, r, statusOf(refused, w.Header().Get("Content-Type")), response)
		return
	}
	responses, ctx := executor.DispatchOperation(r.Context(), operation)
	if response := responses(ctx); response != nil { // else the client has gone
		answer(w, r, http.StatusOK, response)
		exec.Release(response.Data)
	}
}

type paramsKey struct{}

// withParams keeps a body that was read.
func withParams(ctx context.Context, p *graphql.RawParams) context.Context {
	return context.WithValue(ctx, paramsKey{}, p)
}

// answerType is the first type asked for that is ours.
func answerType(accept string) string {
	if accept == "" {
		return plainJSON
	}
	for part := range strings.SplitSeq(accept, ",") {
		mediaType, _, _ := mime.ParseMediaType(strings.TrimSpace(part))
		switch mediaType {
		case "*/*", "application/*", plainJSON:
			return plainJSON
		case responseJSON:
			return responseJSON
		}
	}
	return responseJSON
}

// statusOf a request that is refused before it is run, by the specification of
// GraphQL over HTTP for the type that is its own.
func statusOf(errs gqlerror.List, contentType string) int {
	switch {
	case errcode.GetErrorKind(errs) != errcode.KindProtocol:
		return http.StatusOK
	case contentType == responseJSON:
		return http.StatusBadRequest
	}
	return http.StatusUnprocessableEntity
}

// compressFrom so many bytes on: of a page of an inbox it would take a tenth of
// all that the answer costs, and the proxy that does TLS can do it for those who
// are far away.
const compressFrom = 64 << 10

// answer writes a response. It may be compressed though it is encrypted: what a
// guesser of secrets needs, a request with their text made in the victim's name,
// takes the token, which no browser sends by itself.
func answer(w http.ResponseWriter, r *http.Request, status int, response *graphql.Response) {
	buffer := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buffer)
	buffer.Reset()
	writeResponse(buffer, response)
	if w.Header().Add("Vary", "Accept-Encoding"); buffer.Len() < compressFrom || !takesGzip(r.Header.Get("Accept-Encoding")) {
		w.Header().Set("Content-Length", strconv.Itoa(buffer.Len()))
		w.WriteHeader(status)
		_, _ = w.Write(buffer.Bytes())
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	z := compressors.Get().(*gzip.Writer)
	defer compressors.Put(z)
	z.Reset(w)
	_, _ = z.Write(buffer.Bytes())
	_ = z.Close()
}

var (
	buffers     = sync.Pool{New: func() any { return &bytes.Buffer{} }}
	compressors = sync.Pool{New: func() any {
		z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // its only error is of the level
		return z
	}}
)

// takesGzip says whether a client takes it: named, and not with the weight zero.
func takesGzip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		name, weight, weighted := strings.Cut(strings.ReplaceAll(part, " ", ""), ";q=")
		if strings.EqualFold(name, "gzip") {
			return !weighted || strings.Trim(weight, "0.") != ""
		}
	}
	return false
}

// writeResponse writes data as it is: it is JSON already, and much.
func writeResponse(b *bytes.Buffer, response *graphql.Response) {
	b.WriteByte('{')
	if len(response.Errors) > 0 {
		writeMember(b, `"errors":`, response.Errors)
		b.WriteByte(',')
	}
	b.WriteString(`"data":`)
	if response.Data == nil {
		b.WriteString("null")
	}
	b.Write(response.Data)
	if len(response.Extensions) > 0 {
		b.WriteByte(',')
		writeMember(b, `"extensions":`, response.Extensions)
	}
	b.WriteByte('}')
}

func writeMember(b *bytes.Buffer, name string, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // only our own error presenter makes what is in there
	}
	b.WriteString(name)
	b.Write(text)
}
