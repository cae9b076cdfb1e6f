package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/engine"
)

type callFlags struct {
	stream  bool
	quiet   bool
	headers []string
}

func (a *app) cmdCall() *cobra.Command {
	var f callFlags
	c := &cobra.Command{
		Use:     "call APP EVENT [DATA|-|@FILE]",
		Short:   "Call an event of an app",
		GroupID: "run",
		Long: `Calls an event of an app with DATA, sent as it is, and prints the answer's bytes as
they are. DATA that is JSON is marked as such (content-type: application/json), so
that typed handlers answer in JSON. "-" reads standard input, "@FILE" a file.

With --stream every line of the input is a message of its own, sent as it comes,
and every message of the answer is printed as a line, as it comes.

Standard error gets one line about who answered and how long it took.`,
		Example: `  cocaine call hello greet '{"name":"Ann"}'
  cocaine call hello greet @request.json
  tail -f log | cocaine call echo echo - --stream`,
		Args:              cobra.RangeArgs(2, 3),
		ValidArgsFunction: a.completeApps,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, func(ctx context.Context, c *cocaine.Client) error {
				return a.call(ctx, c, args, &f)
			})
		},
	}
	c.Flags().BoolVar(&f.stream, "stream", false, "send and print message by message")
	c.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "say nothing on standard error")
	c.Flags().StringArrayVarP(&f.headers, "header", "H", nil, "send a header with the request, `name: value`; may be repeated")
	return c
}

func (a *app) call(ctx context.Context, c *cocaine.Client, args []string, f *callFlags) error {
	name, event := args[0], args[1]
	input, err := a.input(args[2:])
	if err != nil {
		return err
	}
	defer input.Close()
	headers, err := parseHeaders(f.headers)
	if err != nil {
		return err
	}
	var whole []byte
	if !f.stream {
		if whole, err = io.ReadAll(input); err != nil {
			return fmt.Errorf("cannot read the data: %w", err)
		}
		if json.Valid(whole) && len(whole) > 0 && !hasHeader(headers, "content-type") {
			headers = append(headers, cocaine.Header{Name: "content-type", Value: "application/json"})
		}
	}
	headers = append(headers, cocaine.Header{Name: engine.StoryHeader, Value: "1"})
	began := time.Now()
	st, err := c.Service(name).With(cocaine.CallOptions{Headers: headers}).Enqueue(ctx, event)
	if err != nil {
		return a.explainEvent(name, event, err)
	}
	defer st.Close()
	if f.stream {
		err = a.converse(ctx, st, input)
	} else {
		err = a.exchange(ctx, st, whole)
	}
	if !f.quiet {
		a.story(name, st.Trailer(), time.Since(began))
	}
	return a.explainEvent(name, event, err)
}

// input opens what the DATA argument names.
func (a *app) input(args []string) (io.ReadCloser, error) {
	switch {
	case len(args) == 0:
		return io.NopCloser(strings.NewReader("")), nil
	case args[0] == "-":
		return io.NopCloser(a.env.Stdin), nil
	case strings.HasPrefix(args[0], "@"):
		f, err := os.Open(args[0][1:])
		if err != nil {
			return nil, fmt.Errorf("cannot read the data: %w", err)
		}
		return f, nil
	default:
		return io.NopCloser(strings.NewReader(args[0])), nil
	}
}

func parseHeaders(list []string) ([]cocaine.Header, error) {
	var out []cocaine.Header
	for _, h := range list {
		name, value, ok := strings.Cut(h, ":")
		if !ok || name == "" {
			return nil, usage(fmt.Errorf("cannot read header %q: want name: value", h), "-H 'x-user: ann'")
		}
		out = append(out, cocaine.Header{Name: strings.ToLower(name), Value: strings.TrimSpace(value)})
	}
	return out, nil
}

func hasHeader(hs []cocaine.Header, name string) bool {
	for _, h := range hs {
		if h.Name == name {
			return true
		}
	}
	return false
}

// exchange sends one message, which is none for no data, and prints the answer.
func (a *app) exchange(ctx context.Context, st *cocaine.Stream, data []byte) error {
	if len(data) > 0 {
		if err := st.Send(ctx, data); err != nil {
			return err
		}
	}
	if err := st.CloseSend(ctx); err != nil {
		return err
	}
	var last byte
	for {
		var chunk []byte
		err := st.Decode(ctx, &chunk)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if len(chunk) > 0 {
			last = chunk[len(chunk)-1]
		}
		if _, err := a.env.Stdout.Write(chunk); err != nil {
			return fmt.Errorf("cannot print the answer: %w", err)
		}
	}
	if last != '\n' && a.isTerminal(a.env.Stdout) {
		fmt.Fprintln(a.env.Stdout) // the prompt should not stand in the answer
	}
	return nil
}

// maxLine bounds one line of the input of --stream.
const maxLine = 16 << 20

// converse sends the input line by line while it prints the answer message by
// message.
func (a *app) converse(ctx context.Context, st *cocaine.Stream, input io.Reader) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	sent := make(chan error, 1)
	go func() { // ends when the input does or the stream is closed; a read of a terminal cannot be interrupted
		err := sendLines(ctx, st, input)
		if err != nil {
			cancel(err)
		}
		sent <- err
	}()
	for {
		var chunk []byte
		err := st.Decode(ctx, &chunk)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := a.env.Stdout.Write(append(bytes.TrimSuffix(chunk, []byte("\n")), '\n')); err != nil {
			return fmt.Errorf("cannot print the answer: %w", err)
		}
	}
}

func sendLines(ctx context.Context, st *cocaine.Stream, input io.Reader) error {
	lines := bufio.NewScanner(input)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for lines.Scan() {
		if err := st.Send(ctx, bytes.Clone(lines.Bytes())); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("cannot read the input: %w", err)
	}
	return st.CloseSend(ctx)
}

// story prints who answered: "hello@1 worker 7f3a 0.4 ms (queue 0.0)".
func (a *app) story(name string, hs []cocaine.Header, took time.Duration) {
	get := func(key string) string {
		for _, h := range hs {
			if h.Name == key {
				return h.Value
			}
		}
		return ""
	}
	line := name
	if r := get(engine.ReleaseHeader); r != "" {
		line += "@" + r
	}
	if w := get(engine.WorkerHeader); w != "" {
		line += fmt.Sprintf(" worker %.4s %s ms (queue %s)", w, millis(get(engine.RunHeader)), millis(get(engine.QueueHeader)))
	} else {
		line += fmt.Sprintf(" %.1f ms", float64(took.Microseconds())/1000)
	}
	fmt.Fprintln(a.env.Stderr, line)
}

func millis(micros string) string {
	n, err := strconv.ParseInt(micros, 10, 64)
	if err != nil {
		return "?"
	}
	return strconv.FormatFloat(float64(n)/1000, 'f', 1, 64)
}

// explainEvent adds a next step to a failed call.
func (a *app) explainEvent(name, event string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("cannot call %s %s: %w", name, event, err)
	e, ok := errors.AsType[*cocaine.Error](err)
	switch {
	case ok && errors.Is(e, cocaine.ErrServiceNotFound):
		return hinted(err, "cocaine ps shows what runs; cocaine up PATH starts an app")
	case ok && classifyRemote(e) == NotFound:
		return hinted(err, "the app has no such event: look at its handlers, and at cocaine logs %s", name)
	case ok && errors.Is(e, cocaine.ErrQueueFull):
		return hinted(err, "cocaine info %s shows the queue; raise [pool] queue or max in cocaine.toml", name)
	case ok && classifyRemote(e) == Timeout:
		return hinted(err, "cocaine logs %s", name)
	case ok:
		return hinted(err, "cocaine logs %s; cocaine crashes %s", name, name)
	}
	return err
}
