// Package httpwire is how an HTTP request and its response travel through an app:
// the contract between an HTTP proxy and a worker, unchanged since the original
// v0.12 frameworks.
//
//	proxy ──▶ worker   invoke, then
//	                   write: one packed array [method, uri, version, headers, body]
//	                   write: more of the body, raw        any number of times
//	                   close
//	worker ──▶ proxy   write: one packed array [status, headers]
//	                   write: the body, raw                any number of times
//	                   close                               or error, which aborts it
//
// headers is an array of [name, value] pairs, in order; names may repeat. The uri
// is the path and the query as the worker is to see them. The version is "1.1", as
// v0.12 writes it, or "HTTP/1.1", as v0.11 does.
//
// The original proxies put the whole body into the first write. A proxy that does
// not may leave any part of it to further ones: the worker reads as much as the
// request's Content-Length says or, when the request has Transfer-Encoding, until
// close.
//
// The package converts bytes; it does no I/O. Its functions may be called from any
// goroutine. Strings are written as raws of the old msgpack dialect, which every
// worker reads, and read in either.
package httpwire
