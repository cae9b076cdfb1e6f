package locator_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/cocaine/cocaine-go/internal/locator"
	"github.com/cocaine/cocaine-go/internal/logtest"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// apps exposes app_v1 at port 1 and app_v2 at port 2.
func apps(t testing.TB, l *locator.Locator) {
	t.Helper()
	expose(t, l, service("app_v1", "127.0.0.1:1"))
	expose(t, l, service("app_v2", "127.0.0.1:2"))
}

const (
	v1 = "[127.0.0.1:1]"
	v2 = "[127.0.0.1:2]"
)

func TestGroupChoosesBySeed(t *testing.T) {
	st := &records{}
	st.store("app", weights(map[string]uint64{"app_v1": 1, "app_v2": 3}))
	l := open(t, locator.Options{Storage: st})
	apps(t, l)
	expose(t, l, service("app", "127.0.0.1:3")) // a group shadows a service of its name
	for seed, want := range map[string]string{"user1": v1, "user2": v1, "42": v2, "hello": v2} {
		if got := where(l, "app", seed); got != want {
			t.Errorf("resolve of the group with seed %q gave %s, want %s", seed, got, want)
		}
	}
	seen := map[string]int{}
	for range 1000 {
		seen[where(l, "app", "")]++
	}
	if len(seen) != 2 || seen[v1] < 100 || seen[v2] < 500 {
		t.Errorf("without a seed the group chose %v, want about a quarter and three quarters", seen)
	}
	if s, err := l.Resolve("app", "user1"); err != nil || s.Name != "app_v1" {
		t.Errorf("the group resolved to service %q: %v", s.Name, err)
	}
}

func TestGroupOfAbsentServices(t *testing.T) {
	st := &records{}
	st.store("outer", weights(map[string]uint64{"inner": 1}))
	st.store("inner", weights(map[string]uint64{"app_v1": 1}))
	l := open(t, locator.Options{Storage: st})
	apps(t, l)
	if got := where(l, "inner", "x"); got != v1 {
		t.Errorf("inner group resolved to %s", got)
	}
	// Groups do not nest: the choice is looked up as a service.
	_, err := l.Resolve("outer", "x")
	if !errors.Is(err, locator.ErrNotAvailable) || !strings.Contains(err.Error(), `"outer"`) || !strings.Contains(err.Error(), `"inner"`) {
		t.Errorf("resolve of a group of groups: %v", err)
	}
}

func TestBadGroupsAreLeftOut(t *testing.T) {
	huge := msgpack.AppendMap(nil, 2000)
	for i := range 2000 {
		huge = msgpack.AppendUint(msgpack.AppendString(huge, string(rune('a'+i))), 1)
	}
	bad := map[string][]byte{
		"empty":    {},
		"nil":      {0xc0},
		"truncate": {0x82, 0xa1, 'a', 1},
		"trailing": append(weights(map[string]uint64{"app_v1": 1}), 0),
		"noweight": weights(map[string]uint64{"app_v1": 0}),
		"nobody":   weights(nil),
		"negative": {0x81, 0xa1, 'a', 0xff},
		"float":    {0x81, 0xa1, 'a', 0xcb, 0, 0, 0, 0, 0, 0, 0, 0},
		"names":    {0x81, 1, 1},
		"heavy":    weights(map[string]uint64{"app_v1": 1 << 32}),
		"huge":     huge,
		"longname": weights(map[string]uint64{strings.Repeat("x", 256): 1}),
	}
	st := &records{}
	for name, record := range bad {
		st.store(name, record)
	}
	st.store("unreadable", nil)
	st.breakdown("unreadable", errors.New("disk on fire"))
	st.store("vanished", nil)
	st.breakdown("vanished", fs.ErrNotExist)
	st.store("good", weights(map[string]uint64{"app_v1": 1}))

	var log logtest.Buffer
	l := open(t, locator.Options{Storage: st, Log: logger(&log)})
	apps(t, l)
	if got := where(l, "good", "x"); got != v1 {
		t.Errorf("the good group resolved to %s", got)
	}
	for name := range bad {
		if !strings.Contains(log.String(), "group="+name+" ") {
			t.Errorf("nothing was logged about group %s", name)
		}
		if got := where(l, name, "x"); !strings.Contains(got, "not available") {
			t.Errorf("group %s resolved to %s", name, got)
		}
		if err := l.Refresh(t.Context(), []string{name}); !errors.Is(err, locator.ErrGroups) {
			t.Errorf("refresh of %s: %v", name, err)
		}
	}
	if !strings.Contains(log.String(), "disk on fire") {
		t.Error("nothing was logged about the unreadable group")
	}
}

// The routing table has to fit a frame.
func TestTableIsLimited(t *testing.T) {
	big := map[string]uint64{}
	for i := range 600 {
		big[fmt.Sprintf("%0250d", i)] = 1
	}
	st := &records{}
	st.store("a-small", weights(map[string]uint64{"app_v1": 1}))
	st.store("b-big", weights(big))
	st.store("c-small", weights(map[string]uint64{"app_v1": 1}))
	var log logtest.Buffer
	l := open(t, locator.Options{Storage: st, Log: logger(&log)})
	apps(t, l)
	if a, c := where(l, "a-small", "x"), where(l, "c-small", "x"); a != v1 || c != v1 {
		t.Errorf("the small groups resolved to %s and %s", a, c)
	}
	if !strings.Contains(log.String(), "group=b-big") {
		t.Error("nothing was logged about the big group")
	}
	st.store("a-small", weights(map[string]uint64{"app_v2": 1}))
	if err := l.Refresh(t.Context(), []string{"a-small", "b-big"}); !errors.Is(err, locator.ErrGroups) {
		t.Errorf("refresh of the big group: %v", err)
	}
	if got := where(l, "a-small", "x"); got != v1 {
		t.Errorf("after a failed refresh the small group resolved to %s", got)
	}
}

func TestOpenFailsWithoutStorage(t *testing.T) {
	st := &records{}
	st.breakdown("", errors.New("disk on fire"))
	_, err := locator.Open(t.Context(), locator.Options{UUID: nodeUUID, Storage: st})
	if !errors.Is(err, locator.ErrGroups) || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("opened on a broken storage: %v", err)
	}
}

func TestRefresh(t *testing.T) {
	st := &records{}
	st.store("a", weights(map[string]uint64{"app_v1": 1}))
	st.store("b", weights(map[string]uint64{"app_v1": 1}))
	l := open(t, locator.Options{Storage: st})
	apps(t, l)
	check := func(when, a, b string) {
		t.Helper()
		if gotA, gotB := where(l, "a", "x"), where(l, "b", "x"); !strings.Contains(gotA, a) || !strings.Contains(gotB, b) {
			t.Fatalf("%s: a is %s, b is %s, want %s and %s", when, gotA, gotB, a, b)
		}
	}
	refresh := func(names ...string) error { return l.Refresh(t.Context(), names) }
	check("after opening", v1, v1)

	st.store("a", weights(map[string]uint64{"app_v2": 1}))
	st.store("b", weights(map[string]uint64{"app_v2": 1}))
	if err := refresh("b", "b", "nosuch"); err != nil {
		t.Fatal(err)
	}
	check("after a refresh of b", v1, v2)

	st.store("a", weights(map[string]uint64{"app_v2": 1}))
	st.store("b", []byte("no map"))
	if err := refresh("a", "b"); !errors.Is(err, locator.ErrGroups) {
		t.Fatalf("refresh of a bad group: %v", err)
	}
	check("after a failed refresh", v1, v2)

	st.breakdown("", errors.New("disk on fire"))
	if err := refresh("a"); !errors.Is(err, locator.ErrGroups) {
		t.Fatalf("refresh without storage: %v", err)
	}
	st.breakdown("", nil)
	check("after a refresh without storage", v1, v2)

	st.breakdown("b", fs.ErrNotExist) // removed between find and read
	if err := refresh("a", "b"); err != nil {
		t.Fatal(err)
	}
	check("after b vanished", v2, "not available")

	st.remove("a")
	if err := refresh("b"); err != nil {
		t.Fatal(err)
	}
	check("a was removed but not refreshed", v2, "not available")
	if err := refresh("a"); err != nil {
		t.Fatal(err)
	}
	check("after a was removed", "not available", "not available")
}

// A refresh that has read an old record must not set it over a newer one.
func TestRefreshesDoNotOvertake(t *testing.T) {
	st := &records{}
	st.store("app", weights(map[string]uint64{"app_v1": 1}))
	l := open(t, locator.Options{Storage: st})
	apps(t, l)

	reading, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	st.reads = func(string) {
		once.Do(func() {
			close(reading)
			<-proceed
		})
	}
	var first, second sync.WaitGroup
	first.Go(func() {
		if err := l.Refresh(context.Background(), []string{"app"}); err != nil {
			t.Error(err)
		}
	})
	<-reading
	second.Go(func() {
		st.store("app", weights(map[string]uint64{"app_v2": 1}))
		if err := l.Refresh(context.Background(), []string{"app"}); err != nil {
			t.Error(err)
		}
	})
	// While one refresh waits for the storage nobody else does.
	if got := where(l, "app", "x"); got != v1 {
		t.Errorf("the group resolved to %s", got)
	}
	impatient, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Refresh(impatient, []string{"app"}); !errors.Is(err, context.Canceled) {
		t.Errorf("a refresh whose caller left: %v", err)
	}
	close(proceed)
	first.Wait()
	second.Wait()
	if got := where(l, "app", "x"); got != v2 {
		t.Errorf("the group resolved to %s, want what was stored last", got)
	}
}

// FuzzGroupRecord: whatever a record holds, the locator opens, and agrees with
// itself whether the group exists.
func FuzzGroupRecord(f *testing.F) {
	f.Add(weights(map[string]uint64{"app_v1": 1, "app_v2": 3}))
	f.Add(weights(map[string]uint64{"app_v1": 0}))
	f.Add([]byte{0xde, 0xff, 0xff})
	f.Add([]byte{0xdf, 0xff, 0xff, 0xff, 0xff, 0xa0, 0xa0})
	f.Fuzz(func(t *testing.T, record []byte) {
		st := &records{}
		st.store("app", record)
		l := open(t, locator.Options{Storage: st})
		err := l.Refresh(t.Context(), []string{"app"})
		if err != nil && !errors.Is(err, locator.ErrGroups) {
			t.Errorf("refresh failed with %v", err)
		}
		_, resolveErr := l.Resolve("app", "seed")
		if grouped := strings.Contains(resolveErr.Error(), "routed to"); grouped != (err == nil) {
			t.Errorf("refresh said %v, resolve %v", err, resolveErr)
		}
	})
}

// A member is chosen among those that are there, which Resolve does not look at.
func TestMember(t *testing.T) {
	st := &records{}
	st.store("app", weights(map[string]uint64{"app_v1": 1, "app_v2": 3}))
	l := open(t, locator.Options{Storage: st})
	only := func(name string) func(string) bool { return func(s string) bool { return s == name } }
	for group, want := range map[string]string{"app": "app_v1", "app_v1": "", "nothing": ""} {
		if got := l.Member(group, only("app_v1")); got != want {
			t.Errorf("the member of %s is %q, want %q", group, got, want)
		}
	}
	if got := l.Member("app", only("other")); got != "" {
		t.Errorf("%q is no member that is there", got)
	}
}
