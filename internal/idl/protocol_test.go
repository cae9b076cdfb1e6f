package idl_test

import (
	"testing"

	"github.com/cocaine/cocaine-go/internal/idl"
)

var protocols = []*idl.Protocol{
	idl.Locator, idl.Storage, idl.Logging, idl.LoggingV2, idl.Unicorn, idl.Metrics, idl.NodeService, idl.App, idl.Worker,
	idl.Invoke, idl.Isolate, idl.Vicodyn, idl.Uniresis, idl.Unicat, idl.Cache, idl.Chrono, idl.URLFetch, idl.Graphite,
	idl.Echo, idl.Elasticsearch, idl.Admin,
}

// TestProtocolsAreComplete: what dispatchers rely on holds for every message of every protocol.
func TestProtocolsAreComplete(t *testing.T) {
	for _, p := range protocols {
		own := len(p.Messages) - 4
		for i := range p.Messages {
			m := &p.Messages[i]
			if want := uint64(i); i < own && m.ID != want {
				t.Errorf("%s.%s has id %d, want %d", p.Name, m.Name, m.ID, want)
			}
			if i >= own != idl.IsControl(m.ID) {
				t.Errorf("%s.%s: id %d is in the wrong place", p.Name, m.Name, m.ID)
			}
			if p.Message(m.ID) != m {
				t.Errorf("%s.%s is not found by its id", p.Name, m.Name)
			}
			if m.Reply.Node == nil {
				t.Errorf("%s.%s has no reply node", p.Name, m.Name)
			}
			if (m.Reply.Kind == idl.ReplyMute) != m.Reply.Node.IsTerminal() {
				t.Errorf("%s.%s: kind %v does not fit its node", p.Name, m.Name, m.Reply.Kind)
			}
			checkOptionalLast(t, p.Name+"."+m.Name, m)
		}
	}
}

func checkOptionalLast(t *testing.T, name string, m *idl.Message) {
	t.Helper()
	for i, a := range m.Args {
		if i >= m.Required() && !a.Optional {
			t.Errorf("%s: argument %s is required but comes after an optional one", name, a.Name)
		}
	}
}

func TestVersions(t *testing.T) {
	for _, p := range protocols {
		want := 1
		switch p {
		case idl.Locator:
			want = 3
		case idl.Logging, idl.LoggingV2:
			want = 2
		}
		if p.Version != want {
			t.Errorf("%s has version %d, want %d", p.Name, p.Version, want)
		}
	}
}

func TestProtocolMethod(t *testing.T) {
	if m := idl.Storage.Method("write"); m == nil || m.ID != idl.StorageWrite || m.Required() != 3 || len(m.Args) != 4 {
		t.Errorf("storage.write is %+v", m)
	}
	if m := idl.Storage.Method("nothing"); m != nil {
		t.Errorf("found %s", m.Name)
	}
	if m := idl.Echo.Method("ping"); m == nil || m.ID != idl.EchoPing {
		t.Errorf("echo's own ping must win over the control message: %+v", m)
	}
	if m := idl.Storage.Method("ping"); m == nil || m.ID != idl.Ping {
		t.Errorf("the control message ping is %+v", m)
	}
	for _, id := range []uint64{4, 65531, 65536, 1 << 63} {
		if m := idl.Storage.Message(id); m != nil {
			t.Errorf("id %d is %s", id, m.Name)
		}
	}
}

// TestChannelStates walks the directions of a channel as a dispatcher does.
func TestChannelStates(t *testing.T) {
	enqueue := idl.App.Message(idl.AppEnqueue)
	for name, node := range map[string]*idl.Node{"request": enqueue.Next, "response": enqueue.Reply.Node} {
		after, ok := node.Follow(idl.Write)
		if !ok || after != node {
			t.Errorf("%s: write must leave the stream as it is", name)
		}
		for _, id := range []uint64{idl.StreamError, idl.Close} {
			if after, ok := node.Follow(id); !ok || !after.IsTerminal() {
				t.Errorf("%s: message %d must end the stream", name, id)
			}
		}
		if after, ok := node.Follow(3); ok || after != node {
			t.Errorf("%s: message 3 is accepted", name)
		}
	}
	if read := idl.Storage.Message(idl.StorageRead); !read.Next.IsTerminal() {
		t.Error("storage.read: the caller may send more")
	}
	if emit := idl.Logging.Message(idl.LoggingEmit); emit.Reply.Kind != idl.ReplyMute || !emit.Reply.Node.IsTerminal() {
		t.Error("logging.emit is answered")
	}
	get := idl.Unicorn.Message(idl.UnicornGet)
	if after, ok := get.Next.Follow(idl.UnicornClose); !ok || !after.IsTerminal() {
		t.Error("unicorn.get: close does not end the channel")
	}
	handshake := idl.Worker.Message(idl.WorkerHandshake)
	if after, ok := handshake.Next.Follow(idl.WorkerHeartbeat); !ok || after != idl.WorkerControl || handshake.Reply.Node != after {
		t.Error("worker: both sides must stay in the control state")
	}
	if metrics := idl.Isolate.Message(idl.IsolateMetrics); metrics.Next != nil {
		t.Error("isolate.metrics is not recurrent")
	}
}

// TestControlIsForFreshChannels: graphs list control messages in the states of publish and routing, which do not
// accept them.
func TestControlIsForFreshChannels(t *testing.T) {
	node := idl.Locator.Message(idl.LocatorPublish).Next
	if !node.Control {
		t.Error("the graph of publish lacks the control messages")
	}
	if _, ok := node.Follow(idl.Ping); ok {
		t.Error("ping is accepted on an open channel")
	}
	if _, ok := node.Follow(idl.LocatorDiscard); !ok {
		t.Error("discard is not accepted")
	}
}

func TestTerminalAndRecurrent(t *testing.T) {
	var recurrent *idl.Node
	if recurrent.IsTerminal() || !idl.Terminal.IsTerminal() {
		t.Error("nil is recurrent, Terminal is the end")
	}
	if recurrent.Lookup(0) != nil || idl.Terminal.Lookup(0) != nil {
		t.Error("a message was found in nothing")
	}
}

func TestFollowDoesNotAllocate(t *testing.T) {
	node := idl.App.Message(idl.AppEnqueue).Next
	if n := testing.AllocsPerRun(100, func() {
		node.Follow(idl.Write)
		idl.App.Message(idl.AppEnqueue)
		idl.Unicorn.Message(idl.Ping)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		category, code int
		name, text     string
	}{
		{idl.CategoryOverseer, idl.OverseerQueueFull, "overseer", "queue is full"},
		{0x51FF, 6, "node", "app is not running"},
		{10, 1, "locator", "service is not available"},
		{7, 5, "dispatch", "message is not bound"},
		{12, 2, "generic", "not found"},
		{1, 9, "system", "bad file descriptor"},
		{16639, -101, "zookeeper", "no such node"},
		{43, 1, "user", ""},
		{999, 1, "unknown", ""},
		{255, 5, "unknown", ""},
	} {
		if name := idl.CategoryName(c.category); name != c.name {
			t.Errorf("category %d is %q, want %q", c.category, name, c.name)
		}
		if text := idl.CodeText(c.category, c.code); text != c.text {
			t.Errorf("[%d, %d] is %q, want %q", c.category, c.code, text, c.text)
		}
	}
}
