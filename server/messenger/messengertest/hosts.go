package messengertest

import (
	"net/http"
	"sync/atomic"
)

// Reaching makes a client for Options.HTTP that finds one host at an address, by http whatever its scheme, as if there
// were a name server and a proxy. The address is asked for at each request.
func Reaching(host string, address func() string) *http.Client {
	return &http.Client{Transport: reaching{host, address, http.DefaultTransport.(*http.Transport).Clone()}}
}

// Address is one for Reaching that is known later, or changes.
type Address struct{ now atomic.Pointer[string] }

// Set says where the host is from now on.
func (a *Address) Set(address string) { a.now.Store(&address) }

// Get gives where the host is.
func (a *Address) Get() string { return *a.now.Load() }

type reaching struct {
	host    string
	address func() string
	*http.Transport
}

func (r reaching) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Hostname() == r.host {
		req = req.Clone(req.Context())
		req.Host, req.URL.Scheme, req.URL.Host = r.host, "http", r.address()
	}
	return r.Transport.RoundTrip(req)
}
