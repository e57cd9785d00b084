package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"parley/server/fault"
)

// IdentityServer is an OpenID provider, this installation's own or another, and
// what it knows the installation by.
type IdentityServer struct{ URL, ClientID, ClientSecret string }

// IdentityStep is a step on the way to a token of an identity server.
type IdentityStep string

// The steps, in their order.
const (
	StepSettings  IdentityStep = "SETTINGS"  // address and credentials are set
	StepDiscovery IdentityStep = "DISCOVERY" // the server is there and says where its parts are
	StepToken     IdentityStep = "TOKEN"     // it gives a token for the credentials
)

// IdentityFailure is the step that failed, and why, in plain words.
type IdentityFailure struct {
	Step   IdentityStep
	Reason string
}

// identityTime is how long an outside identity server may take for each step.
const identityTime = 10 * time.Second

// TestIdentityServer goes the whole way to a token, and says where it ended; nil
// is at the token. The identity server of this process is asked without a
// detour. An error is ours.
func (s *Service) TestIdentityServer(ctx context.Context, at IdentityServer) (*IdentityFailure, error) {
	switch {
	case at.URL == "" || at.ClientID == "" || at.ClientSecret == "":
		return &IdentityFailure{StepSettings, "The identity server's address, its client id or its client secret is not set."}, nil
	case at.URL == s.opts.Issuer:
		_, err := s.CheckClient(ctx, at.ClientID, at.ClientSecret)
		if fault.CodeOf(err) == fault.Unauthenticated {
			return &IdentityFailure{StepToken, "The identity server does not know the client or its secret."}, nil
		}
		return nil, err
	}
	ctx = oidc.ClientContext(ctx, outsideClient)
	provider, err := oidc.NewProvider(ctx, at.URL)
	if err != nil {
		return &IdentityFailure{StepDiscovery, discoveryReason(at.URL, err)}, nil
	}
	asked := clientcredentials.Config{ClientID: at.ClientID, ClientSecret: at.ClientSecret, TokenURL: provider.Endpoint().TokenURL}
	if _, err := asked.Token(ctx); err != nil {
		return &IdentityFailure{StepToken, tokenReason(err)}, nil
	}
	return nil, nil
}

// discoveryReason tells what can be done about it, and nothing that the server
// said: it may be any server.
func discoveryReason(address string, err error) string {
	if strings.Contains(err.Error(), "did not match the issuer") {
		return "The identity server calls itself otherwise: set its address exactly as its discovery document has it as issuer."
	}
	return fmt.Sprintf("No discovery document can be read at %s/.well-known/openid-configuration.", strings.TrimRight(address, "/"))
}

func tokenReason(err error) string {
	var refused *oauth2.RetrieveError
	switch {
	case !errors.As(err, &refused):
		return "The identity server's token endpoint does not answer."
	case refused.ErrorCode == "invalid_client" || refused.ErrorCode == "unauthorized_client":
		return "The identity server does not know the client or its secret, or does not allow it the grant client_credentials."
	case refused.ErrorCode == "unsupported_grant_type":
		return "The identity server does not offer the grant client_credentials."
	}
	return fmt.Sprintf("The identity server's token endpoint refused with HTTP status %d.", refused.Response.StatusCode)
}
