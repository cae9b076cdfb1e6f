package tlsconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// Server are the files that a server needs. ClientCA is optional: with it, who connects
// by TLS has to have a certificate of it.
type Server struct {
	Cert, Key string
	ClientCA  string
}

// Config reads the files. The certificate is read again when its file changes, for the
// connections that come then.
func (s Server) Config() (*tls.Config, error) {
	k := &keyPair{cert: s.Cert, key: s.Key}
	if _, err := k.get(); err != nil {
		return nil, fmt.Errorf("cannot use TLS: %w", err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.get() }}
	if s.ClientCA != "" {
		pool, err := readPool(s.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("cannot use TLS: %w", err)
		}
		c.ClientCAs, c.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	return c, nil
}

// keyPair is a certificate that follows its files.
type keyPair struct {
	cert, key string

	mu   sync.Mutex
	from [2]time.Time // when the files that it is made of were written
	last *tls.Certificate
}

// get gives the certificate. While new files cannot be used the last one is good: they
// are not replaced both at once.
func (k *keyPair) get() (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var from [2]time.Time
	for i, path := range []string{k.cert, k.key} {
		if info, err := os.Stat(path); err == nil {
			from[i] = info.ModTime()
		}
	}
	if k.last != nil && from == k.from {
		return k.last, nil
	}
	c, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err != nil {
		if k.last != nil {
			return k.last, nil
		}
		return nil, err
	}
	k.last, k.from = &c, from
	return k.last, nil
}

// SystemCA stands for the authorities that the system trusts.
const SystemCA = "system"

// Client is what a client needs. The zero value is that of one without TLS.
type Client struct {
	CA        string // file of the authorities that it trusts, or SystemCA
	Name      string // that the server has to have; if empty, the host that is connected to
	Cert, Key string // files of its own certificate; optional
}

// Dial is a function for the options of a client: it connects by TLS over tcp, and
// without over unix sockets. It is nil for a client without TLS.
func (c Client) Dial() (func(ctx context.Context, network, address string) (net.Conn, error), error) {
	if c == (Client{}) {
		return nil, nil
	}
	config, err := c.config()
	if err != nil {
		return nil, fmt.Errorf("cannot use TLS: %w", err)
	}
	plain := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 5}}
	secure := &tls.Dialer{NetDialer: plain, Config: config}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if network == "unix" {
			return plain.DialContext(ctx, network, address)
		}
		return secure.DialContext(ctx, network, address)
	}, nil
}

func (c Client) config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.Name}
	switch c.CA {
	case "":
		return nil, errors.New("it takes a certificate authority that is trusted")
	case SystemCA:
	default:
		pool, err := readPool(c.CA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = pool
	}
	if c.Cert == "" && c.Key == "" {
		return config, nil
	}
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

func readPool(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return pool, nil
}
