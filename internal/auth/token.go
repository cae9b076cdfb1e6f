package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/tokens"
)

// Tokens is the Authenticator that refuses who has no token. The header
// "authorization" is a token, by itself or after the word token or Bearer.
//
// Besides the tokens of the list there is one for the workers of each app, which
// follows from the app's name and a key that the runtimes of one cluster share.
type Tokens struct {
	known   atomic.Pointer[map[uint64][]tokens.Token] // by the first bytes of the digest
	key     atomic.Pointer[[]byte]
	workers map[string]uint64 // user ids by app
}

// NewTokens makes an Authenticator that knows no tokens. The workers of apps that
// workers does not list are nobody, but not refused.
func NewTokens(workers map[string]uint64) *Tokens {
	t := &Tokens{workers: workers}
	t.Set(nil)
	return t
}

// Set replaces the list of tokens, at once.
func (t *Tokens) Set(list []tokens.Token) {
	known := make(map[uint64][]tokens.Token, len(list))
	for _, token := range list {
		at := binary.LittleEndian.Uint64(token.Digest[:])
		known[at] = append(known[at], token)
	}
	t.known.Store(&known)
}

// SetKey sets the key of the workers' tokens, without which they have none.
func (t *Tokens) SetKey(key []byte) { t.key.Store(&key) }

// workerPrefix is what the tokens of workers begin with.
const workerPrefix = "worker:"

// Worker is the token of the workers of an app.
func (t *Tokens) Worker(app string) (string, error) {
	key := t.key.Load()
	if key == nil {
		return "", errors.New("the key of workers' tokens is not known yet")
	}
	return workerPrefix + app + ":" + hex.EncodeToString(workerMAC(*key, app)), nil
}

func workerMAC(key []byte, app string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(app))
	return h.Sum(nil)
}

// Identify implements Authenticator.
func (t *Tokens) Identify(headers []hpack.Header) (Identity, error) {
	value, _ := hpack.Lookup(headers, hpack.Authorization)
	secret := credentials(value)
	if secret == "" {
		return Identity{}, rpc.Errorf(idl.CategorySecurity, idl.SecurityUnauthorized,
			"a token is required: it goes into the header authorization of every call")
	}
	if app, mac, ok := cutWorker(secret); ok {
		if key := t.key.Load(); key != nil && hmac.Equal(mac, workerMAC(*key, app)) {
			return t.worker(app), nil
		}
		return Identity{}, errUnknownToken()
	}
	digest := sha256.Sum256([]byte(secret))
	// What takes a different time tells of the digest, which nobody can choose, and
	// not of the secret.
	for _, known := range (*t.known.Load())[binary.LittleEndian.Uint64(digest[:])] {
		if subtle.ConstantTimeCompare(digest[:], known.Digest[:]) == 1 {
			return Identity{UIDs: []uint64{known.UID}}, nil
		}
	}
	return Identity{}, errUnknownToken()
}

func errUnknownToken() error {
	return rpc.Errorf(idl.CategorySecurity, idl.SecurityUnauthorized, "the token is not known to this runtime")
}

func (t *Tokens) worker(app string) Identity {
	if uid, ok := t.workers[app]; ok {
		return Identity{UIDs: []uint64{uid}}
	}
	return Identity{}
}

// cutWorker takes the token of a worker apart.
func cutWorker(secret string) (app string, mac []byte, ok bool) {
	rest, ok := strings.CutPrefix(secret, workerPrefix)
	if !ok {
		return "", nil, false
	}
	i := strings.LastIndexByte(rest, ':')
	if i < 0 {
		return "", nil, false
	}
	mac, err := hex.DecodeString(rest[i+1:])
	return rest[:i], mac, err == nil
}

// credentials cuts the scheme off the value of the header.
func credentials(value string) string {
	value = strings.TrimSpace(value)
	if scheme, rest, ok := strings.Cut(value, " "); ok && (strings.EqualFold(scheme, "token") || strings.EqualFold(scheme, "bearer")) {
		return strings.TrimSpace(rest)
	}
	return value
}
