package worker

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/httpwire"
	"github.com/cocaine/cocaine-go/internal/idl"
)

// HTTP makes a Handler of an http.Handler: a router, a file server, a whole
// application. The event is usually called http:
//
//	w.HandleStream("http", worker.HTTP(mux))
//
// An HTTP front of the kind that the original has sends the event a request and
// passes the response on to its client; the runtime itself has none yet. The
// http.Handler sees what it would see in an http.Server:
//
//   - The request has the client's header, Host and body; URL is what is left of the
//     path once the front has found the app. RemoteAddr is the address in X-Real-IP,
//     else the first one in X-Forwarded-For, with port 0, and empty without either;
//     TLS is nil. Bodies of any size arrive as they are read. A handler that leaves
//     some megabytes of a body unread for 10 s loses it; see Stream.Recv.
//   - The context is that of the event: it has the caller's deadline and trace, and
//     ends when the client goes away.
//   - The response is sent when the handler returns, when 4 KiB of it have come
//     together, and when it is flushed. Content-Type and Content-Length are filled in
//     as http.Server does. Write waits for a slow client, until the context ends.
//   - http.ResponseController works: Flush, deadlines of reading and writing,
//     EnableFullDuplex, which is on anyway. A connection cannot be hijacked: the
//     error is http.ErrNotSupported.
//   - A panic aborts the response, with http.ErrAbortHandler silently, and so does a
//     body shorter than the declared Content-Length.
//
// What the contract between front and worker does not carry is dropped: trailers,
// informational responses (1xx), and Transfer-Encoding, which is the front's. Date is
// the front's too. A request that is malformed as HTTP is answered with status 400;
// one that cannot be read at all is answered with [12, 22], invalid argument.
//
// Of nil it makes nil, which cannot be bound.
func HTTP(h http.Handler) HandlerFunc {
	if h == nil {
		return nil
	}
	return func(ctx context.Context, s *Stream) error {
		q, err := receiveHTTP(ctx, s)
		if err != nil {
			return err
		}
		w := newResponse(ctx, s, q.Method == http.MethodHead)
		defer w.release()
		r, err := newHTTPRequest(ctx, s, &w.reading, &q)
		if err != nil {
			http.Error(w, "400 Bad Request: "+err.Error(), http.StatusBadRequest)
			return w.finish()
		}
		if err := serveHTTP(h, w, r); err != nil {
			return err
		}
		return w.finish()
	}
}

// receiveHTTP waits for the chunk that begins a request.
func receiveHTTP(ctx context.Context, s *Stream) (httpwire.Request, error) {
	chunk, err := s.Recv(ctx)
	if err == io.EOF {
		err = cocaine.Errorf(idl.CategoryGeneric, idl.GenericInvalid, "cannot read HTTP request: there is none")
	}
	if err != nil {
		return httpwire.Request{}, err
	}
	q, err := httpwire.ParseRequest(chunk)
	if err != nil {
		err = cocaine.Errorf(idl.CategoryGeneric, idl.GenericInvalid, "%v", err)
	}
	return q, err
}

// errAborted is the end of a response whose handler panicked with
// http.ErrAbortHandler.
var errAborted = errors.New("handler aborted the response")

// serveHTTP calls the handler. Of panics it takes only the one that is a way to
// say something.
func serveHTTP(h http.Handler, w *response, r *http.Request) (err error) {
	defer func() {
		if r.MultipartForm != nil {
			_ = r.MultipartForm.RemoveAll() // temporary files, which the system cleans up as well
		}
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			err = errAborted
		default:
			panic(v)
		}
	}()
	h.ServeHTTP(w, r)
	return nil
}
