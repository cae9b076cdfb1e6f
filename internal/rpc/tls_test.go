package rpc_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// certificate makes a certificate that is good for nothing but tests.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

// Sessions work over TLS, where the descriptor below must not be written to.
func TestOverTLS(t *testing.T) {
	client, server := sockets(t, "tcp")
	run(t, tls.Server(server, &tls.Config{Certificates: []tls.Certificate{certificate(t)}}),
		rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{}), Buffer: 256 << 10})
	s := run(t, tls.Client(client, &tls.Config{InsecureSkipVerify: true}), rpc.SessionOptions{Buffer: 256 << 10})
	large := args(bytes.Repeat([]byte("large"), 50<<10))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			st, err := s.Call(t.Context(), kindTalk, nil, talking)
			if err != nil {
				t.Error(err)
				return
			}
			for range 5 {
				if err := st.Send(t.Context(), idl.Write, large); err != nil {
					t.Error(err)
				}
			}
			if err := st.Send(t.Context(), idl.Close, nil); err != nil {
				t.Error(err)
			}
			for range 5 {
				if m, err := st.Recv(t.Context()); err != nil || !bytes.Equal(m.Args, large) {
					t.Errorf("received %d bytes, %v", len(m.Args), err)
				}
			}
			if _, err := st.Recv(t.Context()); !errors.Is(err, io.EOF) {
				t.Errorf("Recv = %v, want EOF", err)
			}
		})
	}
	wg.Wait()
}
