// Web is an ordinary web application as an app: a page, a JSON API and an endpoint
// that streams. It is plain net/http; the event http is all that makes it a worker.
//
//	$ cocaine dev examples/web
//
// An HTTP front, such as the proxies of the original, finds the app and its event in the
// request and hands the rest of it to a worker; the runtime itself has no port for HTTP
// yet. The contexts of the requests end when their clients go away, so the
// endless stream ends with its reader.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"html/template"
	"log"
	"net/http"
	"strconv"

	"github.com/cocaine/cocaine-go/worker"
)

func main() {
	w, err := worker.New(worker.Options{})
	if err != nil {
		log.Fatal(err)
	}
	w.HandleStream("http", worker.HTTP(site()))
	w.Main()
}

func site() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", showPage)
	mux.HandleFunc("GET /api/primes/{n}", tellPrime)
	mux.HandleFunc("GET /primes", streamPrimes)
	return mux
}

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<title>Primes</title>
<form><label>Is <input name="n" inputmode="numeric" value="{{.N}}"> a prime?</label> <button>Tell me</button></form>
{{with .Answer}}<p>{{.}}</p>
{{end -}}
<p><a href="primes">All primes</a></p>
</html>
`))

// showPage answers the question that its form asks.
func showPage(w http.ResponseWriter, r *http.Request) {
	var data struct{ N, Answer string }
	if data.N = r.FormValue("n"); data.N != "" {
		n, err := strconv.ParseUint(data.N, 10, 32)
		switch {
		case err != nil:
			data.Answer = data.N + " is not a number that I can handle."
		case isPrime(n):
			data.Answer = data.N + " is a prime."
		default:
			data.Answer = data.N + " is no prime."
		}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := page.Execute(w, data); err != nil {
		log.Printf("cannot show page: %v", err)
	}
}

// tellPrime is the API.
func tellPrime(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseUint(r.PathValue("n"), 10, 32)
	if err != nil {
		answerJSON(w, http.StatusBadRequest, map[string]any{"error": "n must be a number from 0 to 4294967295"})
		return
	}
	answerJSON(w, http.StatusOK, map[string]any{"n": n, "prime": isPrime(n)})
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		log.Printf("cannot answer: %v", err)
	}
}

// streamPrimes writes one prime after the other, a flush every hundred, until the
// reader goes away or has those below a limit. A reader that is slow slows it down.
func streamPrimes(w http.ResponseWriter, r *http.Request) {
	below, err := strconv.ParseUint(r.FormValue("below"), 10, 32)
	if err != nil {
		below = 1 << 32
	}
	w.Header().Set("Content-Type", "text/plain")
	lines, control := bufio.NewWriter(w), http.NewResponseController(w)
	found := 0
	for n := uint64(2); n < below && r.Context().Err() == nil; n++ {
		if !isPrime(n) {
			continue
		}
		fmt.Fprintln(lines, n)
		if found++; found%100 == 0 {
			if lines.Flush() != nil || control.Flush() != nil {
				return // nobody reads any more
			}
		}
	}
	_ = lines.Flush() // likewise
}

func isPrime(n uint64) bool {
	if n < 2 {
		return false
	}
	for d := uint64(2); d*d <= n; d++ {
		if n%d == 0 {
			return false
		}
	}
	return true
}
