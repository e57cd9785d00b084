package messengertest

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// call is a request to the Graph API, understood as far as all calls are alike.
type call struct {
	method  string
	version string // "" if the path has none
	path    []string
	params  map[string]string // of query, form, JSON and multipart alike; JSON that is no string stays JSON
	form    url.Values        // of query and form, with all values
	token   string
	host    string
	as      *token // whom the token stands for
}

const maxRequest = 32 << 20

var versionSegment = regexp.MustCompile(`^v\d+\.\d+$`)

func parse(r *http.Request) (*call, error) {
	c := &call{method: r.Method, params: map[string]string{}, host: r.Host}
	for _, segment := range strings.Split(r.URL.Path, "/") {
		switch {
		case segment == "":
		case len(c.path) == 0 && c.version == "" && versionSegment.MatchString(segment):
			c.version = segment
		default:
			c.path = append(c.path, segment)
		}
	}
	if err := c.read(r); err != nil {
		return nil, err
	}
	c.token = c.params["access_token"]
	if scheme, value, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && c.token == "" &&
		(strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "OAuth")) {
		c.token = value
	}
	return c, nil
}

func (c *call) read(r *http.Request) error {
	r.Body = http.MaxBytesReader(nil, r.Body, maxRequest)
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // none is as good as one we do not know
	switch kind {
	case "application/json":
		return errors.Join(c.readForm(r), c.readJSON(r.Body))
	case "multipart/form-data":
		if err := r.ParseMultipartForm(maxRequest); err != nil {
			return err
		}
	}
	return c.readForm(r)
}

func (c *call) readForm(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	c.form = r.Form
	for name, values := range r.Form {
		c.params[name] = values[0]
	}
	if r.MultipartForm != nil {
		for name, files := range r.MultipartForm.File {
			c.params[name] = files[0].Filename
		}
	}
	return nil
}

func (c *call) readJSON(body io.Reader) error {
	raw, err := io.ReadAll(body)
	if err != nil || len(strings.TrimSpace(string(raw))) == 0 {
		return err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return err
	}
	for name, value := range members {
		c.params[name] = textOf(value)
	}
	return nil
}

// textOf is a JSON string's content, or other JSON as it is.
func textOf(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// object reads a parameter that is a JSON object; false if it is there and is none.
func (c *call) object(name string, into any) bool {
	raw := c.params[name]
	return raw == "" || strings.HasPrefix(strings.TrimSpace(raw), "{") && json.Unmarshal([]byte(raw), into) == nil
}

// list reads a parameter that is a comma-separated list or a JSON array.
func (c *call) list(name string) []string {
	var all []string
	if json.Unmarshal([]byte(c.params[name]), &all) == nil {
		return all
	}
	for _, s := range strings.Split(c.params[name], ",") {
		if s = strings.TrimSpace(s); s != "" {
			all = append(all, s)
		}
	}
	return all
}
