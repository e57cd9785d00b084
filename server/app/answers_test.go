package app_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"sync"
)

// answers are those of the app, in order.
type answers struct {
	secrets *marks

	mu    sync.Mutex
	kept  bytes.Buffer
	twice []string // what was shown again that is shown once
}

// byDesign are the places where an answer shows a secret, and the state of a
// login in the address to open.
var byDesign = regexp.MustCompile(`("(?:accessToken|refreshToken|clientSecret|access_token)":"|[?&;]state=|\\u0026state=)([^"&\\]+)`)

func (a *answers) keep(answer *http.Response) error {
	if answer.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, shown := range byDesign.FindAllSubmatch(body, -1) {
		if !a.secrets.add("shown as "+string(shown[1]), string(shown[2])) {
			a.twice = append(a.twice, string(shown[0]))
		}
	}
	_ = answer.Header.Write(&a.kept)
	a.kept.Write(byDesign.ReplaceAll(body, []byte("$1…")))
	a.kept.WriteByte('\n')
	return nil
}

// note keeps what was said otherwise than in an answer.
func (a *answers) note(said ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Fprintln(&a.kept, said...)
}

func (a *answers) all() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.kept.Bytes())
}
