package cli

import (
	"bufio"
	"bytes"
	"context"
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
	"github.com/cocaine/cocaine-go/internal/idl"
)

type callFlags struct {
	stream, quiet      bool
	json, msgpack, raw bool
	headers            []string
}

func (a *app) cmdCall() *cobra.Command {
	var f callFlags
	c := &cobra.Command{
		Use:     "call APP EVENT [DATA|-|@FILE]",
		Short:   "Call an event of an app",
		GroupID: "run",
		Long: `Calls an event of an app with DATA and prints the answer. "-" reads the data from
standard input, "@FILE" from a file.

Data goes as it is and so does the answer. Data that is JSON, or none, is marked
as JSON, so that a typed handler answers in JSON; --raw marks nothing, --json
insists. With --msgpack the data is JSON and travels as msgpack, and the answer is
msgpack and printed as JSON.

With --stream every line of the data is a message of its own, sent as it comes,
and every message of the answer is printed as a line, as it comes.

Standard error gets one line about who answered and how long it took.`,
		Example: `  cocaine call hello greet '{"name":"Ann"}'
  cocaine call hello greet @request.json
  tail -f log | cocaine call echo echo - --stream`,
		Args:              cobra.RangeArgs(2, 3),
		ValidArgsFunction: a.completeApps(runningApp),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, func(ctx context.Context, c *cocaine.Client) error {
				return a.call(ctx, c, args, &f)
			})
		},
	}
	fl := c.Flags()
	fl.BoolVar(&f.stream, "stream", false, "send and print message by message")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing about who answered")
	fl.BoolVar(&f.json, "json", false, "the data must be JSON")
	fl.BoolVar(&f.msgpack, "msgpack", false, "the data is JSON, to be sent as msgpack; print the answer, msgpack, as JSON")
	fl.BoolVar(&f.raw, "raw", false, "the data is just bytes, even if it looks like JSON")
	fl.StringArrayVarP(&f.headers, "header", "H", nil, "send a header with the request, `name: value`; may be repeated")
	return c
}

// A conversation is one call of an event.
type conversation struct {
	a      *app
	format format
	stream *cocaine.AppStream
	ended  bool // the last byte that was printed ended a line
}

func (a *app) call(ctx context.Context, c *cocaine.Client, args []string, f *callFlags) error {
	name, event := args[0], args[1]
	t := conversation{a: a, ended: true}
	var err error
	if t.format, err = f.format(); err != nil {
		return err
	}
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
		if whole, err = readWhole(input); err != nil {
			return err
		}
		if whole, err = t.format.encode(whole); err != nil {
			return err
		}
	}
	if cocaine.Headers(headers).Get(contentType) == "" {
		headers = append(headers, t.format.header(whole, f.stream)...)
	}
	headers = append(headers, cocaine.Header{Name: engine.StoryHeader, Value: "1"})
	began := time.Now()
	t.stream, err = c.App(name).With(cocaine.CallOptions{Headers: headers}).Enqueue(ctx, event)
	if err != nil {
		return explainEvent(ctx, c, name, event, nil, err)
	}
	defer t.stream.Close()
	if f.stream {
		err = t.converse(ctx, input)
	} else {
		err = t.exchange(ctx, whole)
	}
	if !f.quiet {
		a.story(name, t.stream.Trailer(), time.Since(began), err)
	}
	if err == nil {
		return nil
	}
	if died := obituary(ctx, c, name, t.stream.Trailer().Get(engine.WorkerHeader), err); died != nil {
		return hinted(fmt.Errorf("cannot call %s %s: %w", name, event, died), "cocaine crashes %s --full", name)
	}
	return explainEvent(ctx, c, name, event, whole, err)
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
			return nil, hinted(fmt.Errorf("cannot read the data: %w", err), "printf %%s '%s' | cocaine call APP EVENT - sends it as text", args[0])
		}
		return f, nil
	default:
		return io.NopCloser(strings.NewReader(args[0])), nil
	}
}

// maxMessage is the largest message that a runtime takes unless it is configured
// otherwise.
const maxMessage = 64<<20 - 64<<10

func readWhole(input io.Reader) ([]byte, error) {
	whole, err := io.ReadAll(io.LimitReader(input, maxMessage+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the data: %w", err)
	}
	if len(whole) > maxMessage {
		return nil, usage(fmt.Errorf("cannot send the data: it has more than %s", size(maxMessage)), "--stream sends it line by line")
	}
	return whole, nil
}

func parseHeaders(list []string) ([]cocaine.Header, error) {
	var out []cocaine.Header
	for _, h := range list {
		name, value, ok := strings.Cut(h, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		if !ok || name == "" {
			return nil, usage(fmt.Errorf("cannot read header %q: want name: value", h), "-H 'x-user: ann'")
		}
		out = append(out, cocaine.Header{Name: name, Value: strings.TrimSpace(value)})
	}
	return out, nil
}

// exchange sends one message, which is none for no data, and prints the answer.
func (t *conversation) exchange(ctx context.Context, data []byte) error {
	if len(data) > 0 {
		if err := t.stream.Send(ctx, data); err != nil {
			return err
		}
	}
	if err := t.stream.CloseSend(ctx); err != nil {
		return err
	}
	for chunk, err := range t.stream.All(ctx) {
		if err != nil {
			t.endLine()
			return err
		}
		if err := t.print(chunk); err != nil {
			return err
		}
	}
	t.endLine()
	return nil
}

// print prints a chunk of the answer.
func (t *conversation) print(chunk []byte) error {
	out, err := t.format.decode(chunk)
	if err != nil {
		return err
	}
	if isTerminal(t.a.env.Stdout) && isBinary(out) {
		t.a.screen.say("(%d bytes that are no text: see them with --msgpack, or send them to a file)", len(out))
		return nil
	}
	if len(out) > 0 {
		t.ended = out[len(out)-1] == '\n'
	}
	return t.a.screen.result(string(out))
}

// endLine completes the last line on a terminal. Elsewhere the answer is left as
// it is: it may be anything.
func (t *conversation) endLine() {
	if !t.ended && isTerminal(t.a.env.Stdout) {
		_ = t.a.screen.result("\n") // the answer itself could be printed
		t.ended = true
	}
}

// maxLine is the longest line of input in a stream.
const maxLine = 16 << 20

// converse sends the input line by line while it prints the answer message by
// message.
func (t *conversation) converse(ctx context.Context, input io.Reader) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { // ends when the input does or the stream is closed; a read of a terminal cannot be interrupted
		if err := t.sendLines(ctx, input); err != nil {
			cancel(err)
		}
	}()
	for chunk, err := range t.stream.All(ctx) {
		if f, ok := errors.AsType[*failure](err); ok {
			return f // of the input
		}
		if err != nil {
			return err
		}
		line, err := t.format.decode(chunk)
		if err != nil {
			return err
		}
		if err := t.a.screen.result(string(bytes.TrimSuffix(line, []byte("\n"))) + "\n"); err != nil {
			return fmt.Errorf("cannot print the answer: %w", err)
		}
	}
	return nil
}

// sendLines returns an error of the input. That of a send is left to the receiving
// side, which learns why the stream is over.
func (t *conversation) sendLines(ctx context.Context, input io.Reader) error {
	lines := bufio.NewScanner(input)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for lines.Scan() {
		data, err := t.format.encode(bytes.Clone(lines.Bytes()))
		if err != nil {
			return err
		}
		if t.stream.Send(ctx, data) != nil {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return usage(fmt.Errorf("cannot read the data: %w", err), "cocaine call --help")
	}
	_ = t.stream.CloseSend(ctx)
	return nil
}

// story prints who answered: "hello@1 worker 7f3a 0.4 ms (queue 0.0)".
func (a *app) story(name string, hs cocaine.Headers, took time.Duration, failed error) {
	line := name
	if r := hs.Get(engine.ReleaseHeader); r != "" {
		line += "@" + r
	}
	switch w := hs.Get(engine.WorkerHeader); {
	case w != "":
		line += fmt.Sprintf(" worker %.4s %s ms (queue %s)", w, millis(hs.Get(engine.RunHeader)), millis(hs.Get(engine.QueueHeader)))
	case failed != nil:
		return // the error says more
	default:
		line += fmt.Sprintf(" %.1f ms", float64(took.Microseconds())/1000)
	}
	a.screen.say("%s", printable(line))
}

func millis(micros string) string {
	n, err := strconv.ParseInt(micros, 10, 64)
	if err != nil {
		return "?"
	}
	return strconv.FormatFloat(float64(n)/1000, 'f', 1, 64)
}

// explainEvent adds a next step to a failed call.
func explainEvent(ctx context.Context, c *cocaine.Client, name, event string, data []byte, err error) error {
	failed := cannot(err, "call %s %s", name, event)
	e, ok := errors.AsType[*cocaine.Error](err)
	if !ok {
		if _, connecting := errors.AsType[*cocaine.ConnectError](err); !connecting && classify(err) == Timeout {
			return hinted(failed, "cocaine logs %s; --timeout gives it more time", name)
		}
		return failed
	}
	switch {
	case errors.Is(e, cocaine.ErrServiceNotFound):
		return explainAbsence(ctx, c, name, fmt.Sprintf("call %s %s", name, event))
	case classifyRemote(e) == Timeout: // the runtime knows the caller's limit too, and may be the first to see it pass
		return hinted(failed, "cocaine logs %s; --timeout gives it more time", name)
	case errors.Is(e, cocaine.ErrQueueFull):
		return hinted(failed, "cocaine info %s shows the queue; [pool] in cocaine.toml sets it", name)
	case e.Category == idl.CategoryWorker && classifyRemote(e) == NotFound:
		return hinted(failed, "cocaine logs %s; the worker's code has the names of its events", name)
	case e.Category == idl.CategoryGeneric && e.Code == idl.GenericInvalid && notJSON(data) != nil:
		return hinted(failed, "cocaine call %s %s '{...}'; the data is not JSON: %v", name, event, notJSON(data))
	}
	return hinted(failed, "cocaine logs %s", name)
}

// explainAbsence tells an app that is stopped from one that never was.
func explainAbsence(ctx context.Context, c *cocaine.Client, name, what string) error {
	s, err := status(ctx, c)
	if err != nil {
		return absent(name, what)
	}
	switch app, ok := s.app(name); {
	case !ok:
		return absent(name, what)
	case app.State == stopped:
		return coded(NotFound, fmt.Errorf("cannot %s: the app is stopped", what), "cocaine start %s", name)
	case app.why() == "": // it is on its way
		return coded(NotFound, fmt.Errorf("cannot %s: the app is %s and takes no calls yet", what, app.condition()), "try again in a moment; cocaine info %s shows how far it is", name)
	default:
		return coded(NotFound, fmt.Errorf("cannot %s: the app is %s: %s", what, app.condition(), app.why()), "cocaine info %s; cocaine crashes %s", name, name)
	}
}

func absent(name, what string) error {
	return coded(NotFound, fmt.Errorf("cannot %s: there is no service %q", what, name), "cocaine ps lists the apps; cocaine up PATH starts one")
}

// burying is how long the record of a crash may take to be written: the runtime
// answers the caller before it has reaped the worker.
const burying = 500 * time.Millisecond

// obituary says how the worker died that a call was with, if that is why it failed.
func obituary(ctx context.Context, c *cocaine.Client, name, worker string, err error) error {
	e, ok := errors.AsType[*cocaine.Error](err)
	if !ok || worker == "" || e.Category != idl.CategoryStream && e.Category != idl.CategorySocket && e.Category != idl.CategorySlave {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, burying)
	defer cancel()
	for ctx.Err() == nil {
		list, _ := cocaine.Get[[]crashRecord](ctx, c.Service("admin"), "crashes", name, 10)
		for _, r := range list {
			if r.Worker == worker {
				return &brief{fmt.Sprintf("worker %.4s died: %s [%d, %d]", worker, r.summary(), e.Category, e.Code), err}
			}
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return nil
}
