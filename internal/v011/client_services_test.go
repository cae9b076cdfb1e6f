package v011_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/storage"
	"github.com/cocaine/cocaine-go/internal/v011"
	"github.com/cocaine/cocaine-go/internal/wire"
)

func TestNode(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		p := r.dial(t, "node")
		p.call(0, 1, map[string]any{"app1": "p", "app3": "p", "app4": "absent", "app5": "no code", "app6": "no archive", "app7": "odd"})
		p.wantChunk(t, 1, map[string]any{"app1": "the app is already running", "app3": "the app has been started", "app4": "object 'absent' has not been found in 'profiles'",
			"app5": "the 'app5' app is not available", "app6": "the 'app6' app is not available", "app7": "cannot start app app7: it is odd"})
		p.wantChoke(1)
		p.call(2, 2)
		p.wantChunk(t, 2, []any{"app1", "app2", "app3"})
		p.wantChoke(2)
		p.call(1, 3, []any{"app2", "app9"})
		p.wantChunk(t, 3, map[string]any{"app2": "the app has been stopped", "app9": "the app is not running"})
		p.wantChoke(3)
		p.call(0, 4, map[string]any{})
		p.wantChunk(t, 4, map[string]any{})
		p.wantChoke(4)
		for _, args := range [][]any{{"app1"}, {map[string]any{"app1": 5}}, {[]any{"app1"}}} {
			p.call(0, 5, args...)
			p.wantError(5, 1, "argument type mismatch")
		}
		for _, args := range [][]any{{"app1"}, {[]any{5}}} {
			p.call(1, 6, args...)
			p.wantError(6, 1, "argument type mismatch")
		}
		p.call(3, 7)
		p.wantError(7, 1, "unknown message type")
	})
}

func TestStorage(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		p := r.dial(t, "storage")
		p.call(1, 1, "c", "k", "v1", []any{"a", "b"})
		p.wantChoke(1)
		p.call(1, 2, "c", "l", "v2")
		p.wantChoke(2)
		p.call(0, 3, "c", "k")
		p.wantChunk(t, 3, "v1")
		p.wantChoke(3)
		p.call(3, 4, "c", []any{"b"})
		p.wantChunk(t, 4, []any{"k"})
		p.wantChoke(4)
		p.call(3, 5, "nothing", []any{})
		p.wantChunk(t, 5, []any{})
		p.wantChoke(5)
		p.call(2, 6, "c", "k")
		p.wantChoke(6)
		p.call(2, 7, "c", "k") // an absent key is no error
		p.wantChoke(7)
		p.call(0, 8, "c", "k")
		p.wantError(8, 1, "object 'k' has not been found in 'c'")
		p.call(1, 9, "c", "k")
		p.wantError(9, 1, "argument sequence length mismatch - expected at least 3, got 2")
		for method, args := range map[uint64][]any{0: {"c", 5}, 1: {"c", "k", "v", "tag"}, 2: {5, "k"}, 3: {"c", "tag"}} {
			p.call(method, 10, args...)
			p.wantError(10, 1, "argument type mismatch")
		}
		p.call(1, 11, "c", "../escape", "v") // the original would have written it
		if f := p.Recv(); f.Channel != 5 {
			t.Errorf("a key that leaves its collection is answered with %v", f)
		}
		p.wantChoke(11)
	})
}

// awayStore is a storage that fails.
type awayStore struct {
	*storage.Memory
	err error
}

func (s awayStore) Read(context.Context, string, string) ([]byte, error)          { return nil, s.err }
func (s awayStore) Write(context.Context, string, string, []byte, []string) error { return s.err }
func (s awayStore) Remove(context.Context, string, string) error                  { return s.err }
func (s awayStore) Find(context.Context, string, []string) (keys []string, e error) {
	return nil, s.err
}

func TestStorageFails(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		for i, tt := range []struct {
			err   error
			texts [4]string
		}{
			{errors.New("the disk is gone"), [4]string{"unable to access object 'k' in 'c'", "unable to access object 'k' in 'c'",
				"unable to remove object 'k' from 'c'", `cannot find keys in "c": the disk is gone`}},
			{rpc.Errorf(12, 13, "denied"), [4]string{"denied", "denied", "denied", "denied"}},
		} {
			r.services["away"] = v011.Storage(awayStore{storage.NewMemory(), tt.err}, rpc.MuxOptions{})
			p := r.dial(t, "away")
			for method, args := range [][]any{{"c", "k"}, {"c", "k", "v"}, {"c", "k"}, {"c", []any{"t"}}} {
				session := uint64(4*i + method)
				p.call(uint64(method), session, args...)
				p.wantError(session, 1, tt.texts[method])
			}
		}
	})
}

// The report of an app has the shape of v0.11.
func TestAppInfo(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		p := r.dial(t, "echo")
		p.call(1, 1)
		p.wantChunk(t, 1, map[string]any{
			"load-median": 2, "profile": "p", "state": "running",
			"queue": map[string]any{"capacity": 100, "depth": 2}, "sessions": map[string]any{"pending": 3},
			"slaves": map[string]any{"active": 1, "idle": 2, "capacity": 10},
		})
		p.wantChoke(1)
		for name, report := range map[string]func() (map[string]any, error){
			"gone":     func() (map[string]any, error) { return nil, rpc.Errorf(12, 22, "app is not running") },
			"starting": func() (map[string]any, error) { return map[string]any{"state": "spooling"}, nil },
		} {
			r.services[name] = v011.App(echoApp{}, report, rpc.MuxOptions{})
			p = r.dial(t, name)
			p.call(1, 2)
			p.wantChunk(t, 2, map[string]any{"error": "the engine is not active"})
			p.wantChoke(2)
		}
		r.services["fresh"] = v011.App(echoApp{}, func() (map[string]any, error) {
			return map[string]any{"queue": map[string]any{}, "state": "running"}, nil
		}, rpc.MuxOptions{})
		p = r.dial(t, "fresh")
		p.call(1, 3)
		if f := p.Recv(); f.Channel != 4 {
			t.Errorf("an app without workers is reported as %v", f)
		}
	})
}

// The median is estimated as in the original, whose estimate of few numbers is poor.
func TestMedianOfInfo(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		for i, tt := range []struct {
			loads []int
			want  int
		}{
			{nil, 0}, {[]int{7}, 0}, {[]int{7, 9}, 0}, {[]int{9, 8, 7}, 7}, {[]int{1, 2, 3, 4}, 3}, {[]int{9, 1, 8, 2, 7}, 7},
			{[]int{5, 5, 5, 5, 5, 5, 5, 5}, 5}, {[]int{0, 10, 20, 30, 40, 50, 60, 70, 80}, 40}, {[]int{80, 70, 60, 50, 40, 30, 20, 10, 0}, 40},
			{[]int{1, 2, 3, 4, 5, 100, 100, 100, 100}, 20},
		} {
			workers := map[string]any{}
			for j, load := range tt.loads {
				workers[string(rune('a'+j))] = map[string]any{"load:total": load}
			}
			r.services["median"] = v011.App(echoApp{}, func() (map[string]any, error) {
				return map[string]any{"queue": map[string]any{}, "pool": map[string]any{"slaves": workers}}, nil
			}, rpc.MuxOptions{})
			p := r.dial(t, "median")
			p.call(1, uint64(i))
			p.wantChunk(t, uint64(i), map[string]any{"load-median": tt.want, "profile": nil, "state": nil,
				"queue": map[string]any{"capacity": nil, "depth": nil}, "sessions": map[string]any{"pending": nil},
				"slaves": map[string]any{"active": nil, "idle": nil, "capacity": nil}})
			p.wantChoke(uint64(i))
		}
	})
}

// wholeApp takes requests whole, as the engine does when it has a free worker.
type wholeApp struct {
	echoApp
	whole int
}

func (w *wholeApp) AcceptCall(b *rpc.Batch, s *rpc.Session, ch uint64, first, write *rpc.Frame) bool {
	if string(first.Args) == "\x91\xa5parts" {
		return false
	}
	w.whole++
	_ = s.SendLast(b, ch, write.Args, nil, nil)
	return true
}

// A request reaches who takes it whole in one step, and others in three.
func TestEnqueueWhole(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		app := new(wholeApp)
		r.services["whole"] = v011.App(app, nil, rpc.MuxOptions{})
		p := r.dial(t, "whole")
		for i, event := range []string{"echo", "parts", "echo"} {
			p.call(0, uint64(i), event, "blob")
			p.Want(4, uint64(i), "blob")
			p.wantChoke(uint64(i))
		}
		synctest.Wait()
		if app.whole != 2 {
			t.Errorf("%d requests were taken whole", app.whole)
		}
	})
}

func TestLocatorGroups(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		p := r.dial(t, "locator")
		p.call(0, 1, "group")
		p.wantError(1, 1, "service group is not available")
		r.groups.members = []string{"absent", "node"}
		p.call(0, 2, "group")
		if f := p.Recv(); f.Channel != 4 {
			t.Errorf("a group with a member is answered with %v", f)
		}
		p.wantChoke(2)
		p.call(3, 3, "group")
		p.wantChoke(3)
		p.call(3, 4, "unreadable")
		p.wantError(4, 1, "storage is away")
		p.call(3, 5, []any{"group"})
		p.wantError(5, 1, "argument type mismatch")
	})
}

// synchronize sends the whole directory at once and after each change, until the
// directory is closed.
func TestSynchronize(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		for _, name := range []string{"storage", "probe", "logging", "echo"} {
			r.remove[name]()
		}
		p := r.dial(t, "locator")
		want := func(services ...string) {
			t.Helper()
			f := p.Recv()
			if f.Channel != 4 || f.Type != 7 {
				t.Fatalf("got %v", f)
			}
			for _, s := range services {
				if !contains(f.Args, s) {
					t.Errorf("%s is not in %x", s, f.Args)
				}
			}
			if contains(f.Args, "probe") {
				t.Errorf("probe is in %x", f.Args)
			}
		}
		p.call(1, 7)
		want("node")
		p.WantIdle()
		remove := r.directory.Add(v011.Listing{Name: "late", Service: r.services["echo"], Host: "::1", Port: 1})
		want("node", "late")
		remove()
		remove() // to no effect
		want("node")
		p.WantIdle()
		r.directory.Close()
		p.wantChoke(7)
		p.call(1, 8)
		p.wantChoke(8)
		r.services["alone"] = v011.Locator(r.directory, r.groups, false, rpc.MuxOptions{})
		p = r.dial(t, "alone")
		p.call(1, 9)
		p.wantError(9, 1, "unknown message type")
	})
}

func contains(args []byte, name string) bool {
	for i := range args {
		if i+len(name) <= len(args) && string(args[i:i+len(name)]) == name {
			return true
		}
	}
	return false
}

// A name that was taken over stays when its former holder goes.
func TestDirectoryTakenOver(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.directory.Add(v011.Listing{Name: "node", Service: r.services["node"], Host: "h", Port: 5})
		r.remove["node"]()
		p := r.dial(t, "locator")
		p.call(0, 1, "node")
		p.Want(4, 1, "\x93\x92\xa1h\x05\x01\x83\x00\xa9start_app\x01\xa9pause_app\x02\xa4list")
		p.wantChoke(1)
	})
}

// Reports tell the connections of each service.
func TestReports(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.directory.Add(v011.Listing{Name: "node", Service: r.services["node"], Host: "h", Port: 5, Connections: func() int { return 3 }})
		p := r.dial(t, "locator")
		p.call(2, 1)
		none := map[string]any{}
		p.wantChunk(t, 1, map[string]any{"node": []any{3, none}, "storage": []any{0, none}, "logging": []any{0, none},
			"echo": []any{0, none}, "probe": []any{0, none}})
		p.wantChoke(1)
	})
}

// FuzzClientDialect: whatever a client says, each answer is for a session that it has
// opened, each session gets one choke for each call at most, and nothing comes after
// it but on behalf of another call.
func FuzzClientDialect(f *testing.F) {
	for _, tt := range openings {
		f.Add(uint8(0), message(f, tt.message...))
	}
	for i, call := range [][]byte{
		{0x93, 0, 1, 0x92, 0xa4, 'e', 'c', 'h', 'o', 0xa1, 'x'}, {0x93, 1, 0, 0x90},
		{0x93, 3, 5, 0x91, 2, 0x93, 2, 5, 0x92, 1, 0xa1, 'x', 0x93, 0, 5, 0x91, 0xc0}, {0x93, 0x99, 1, 0x90},
	} {
		f.Add(uint8(i), call)
	}
	names := []string{"echo", "logging", "probe", "storage", "node", "locator"}
	f.Fuzz(func(t *testing.T, which uint8, input []byte) {
		if len(input) > 1<<12 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			r := newRig()
			s := r.services[names[int(which)%len(names)]]
			o := rpc.SessionOptions{Acceptor: s, Recognise: s.Recognise(wire.Limits{MaxFrame: 1 << 12})}
			p := rpctest.New(t, rpctest.Options{Session: o, Buffer: 1 << 20})
			open := opened(input)
			p.Write(input)
			synctest.Wait()
			for {
				got, err := p.Poll()
				if err != nil {
					break
				}
				if open[got.Type] <= 0 {
					t.Fatalf("%v for a session without a call", got)
				}
				switch got.Channel {
				case 4, 5:
				case 6:
					open[got.Type]--
				default:
					t.Fatalf("%v is no answer", got)
				}
			}
			p.Close()
			r.directory.Close()
			p.Session().Wait()
		})
	})
}

// opened counts the calls of each session, by reading the input in its own way.
func opened(input []byte) map[uint64]int {
	open := make(map[uint64]int)
	for {
		f, n, err := wire.Parse(input, wire.Limits{MaxFrame: 1 << 12})
		if err != nil || f.Headers != nil {
			return open
		}
		open[f.Type]++
		input = input[n:]
	}
}

// A list that is longer than any that makes sense is refused.
func TestLongLists(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		long := make([]any, 1<<16+1)
		for i := range long {
			long[i] = ""
		}
		for service, args := range map[string][]any{"node": {long}, "storage": {"c", long}} {
			p := r.dial(t, service)
			p.call(map[string]uint64{"node": 1, "storage": 3}[service], 1, args...)
			p.wantError(1, 1, "argument type mismatch")
		}
	})
}
