package cocaine

import (
	"context"
	"fmt"
	"os"

	"github.com/cocaine/cocaine-go/internal/hpack"
)

// A TokenSource gives the value of the authorization header of a call, "" for none:
// the scheme and the credentials, as the runtime's authentication takes them. It is
// asked for each attempt of each call, by many goroutines at once, so one that has to
// fetch tokens keeps them until they expire. ctx is that of the call. If it fails,
// the call fails with its error, and nothing is sent.
//
// A token that it cannot give without calling a service must be fetched by another
// Client, or by a handle with StaticToken(""): a call by its own would ask it again.
type TokenSource func(ctx context.Context) (string, error)

// StaticToken is the TokenSource of a token that does not change: "Bearer s3cret"; or,
// for a runtime that takes callers at their word, their numbers, "7,42".
func StaticToken(token string) TokenSource {
	return func(context.Context) (string, error) { return token, nil }
}

// The environment variables by which a runtime gives a token to a worker.
const (
	TokenTypeVariable = "COCAINE_APP_TOKEN_TYPE"
	TokenBodyVariable = "COCAINE_APP_TOKEN_BODY"
)

// promiscuous is the type of the token that is nothing but the caller's numbers.
const promiscuous = "promiscuous"

// EnvironmentToken is the TokenSource of what the runtime gave to this process, nil
// if it gave nothing: the type and the body, with a blank between them. A body of no
// type, or of the type promiscuous, stands by itself. The client of a worker uses it
// by default.
func EnvironmentToken() TokenSource {
	scheme, body := os.Getenv(TokenTypeVariable), os.Getenv(TokenBodyVariable)
	switch {
	case body == "":
		return nil
	case scheme == "" || scheme == promiscuous:
		return StaticToken(body)
	}
	return StaticToken(scheme + " " + body)
}

// authorize appends the header of the token, unless the handle has one among its
// headers.
func (s *Service) authorize(ctx context.Context, hs []Header) ([]Header, error) {
	source := s.opts.Token
	if source == nil {
		source = s.conn.client.opts.Token
	}
	if source == nil || s.opts.Headers.Get(hpack.Authorization) != "" {
		return hs, nil
	}
	token, err := source(ctx)
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot get token: %w", err)
	case token == "":
		return hs, nil
	}
	return append(hs, Header{Name: hpack.Authorization, Value: token}), nil
}
