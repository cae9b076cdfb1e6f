package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/daemon"
	"github.com/cocaine/cocaine-go/internal/idl"
)

// protected is the configuration of a runtime that checks all permissions.
func protected(t testing.TB, set map[string]string) daemon.Options {
	all := map[string]string{"authorizations.storage": "storage", "authorizations.unicorn": "unicorn", "authorizations.event": "event"}
	for key, value := range set {
		all[key] = value
	}
	return daemon.Options{Config: configuration(directory(t), all), Version: "test"}
}

// as is a service as it is called under some user ids; "" is nobody's.
func as(c *cocaine.Client, uids, service string) *cocaine.Service {
	s := c.Service(service)
	if uids == "" {
		return s
	}
	return s.With(cocaine.CallOptions{Headers: cocaine.Headers{{Name: "authorization", Value: uids}}})
}

// do calls a method. Of a stream the first value is enough.
func do(ctx context.Context, s *cocaine.Service, method string, args ...any) error {
	switch method {
	case "subscribe", "children_subscribe", "lock", "named_lock":
		_, err := cocaine.Get[any](ctx, s, method, args...)
		return err
	}
	return cocaine.Exec(ctx, s, method, args...)
}

// A step is one call of a conformance table, in the order of the table.
type step struct {
	who     string // user ids
	service string
	method  string
	args    []any
	code    string // of the refusal, "" for success
}

func list(args ...any) []any { return args }

func run(t *testing.T, c *cocaine.Client, steps []step) {
	t.Helper()
	ctx := soon(t)
	for i, s := range steps {
		err := do(ctx, as(c, s.who, s.service), s.method, s.args...)
		if code := codeOf(err); code != s.code {
			t.Errorf("step %d: %q calls %s.%s%v: %q, want %q (%v)", i, s.who, s.service, s.method, s.args, code, s.code, err)
		}
	}
}

func codeOf(err error) string {
	if e, ok := errors.AsType[*cocaine.Error](err); ok {
		return fmt.Sprintf("%d,%d", e.Category, e.Code)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// record is [{cid: access}, {uid: access}] with integers for keys.
func record(t testing.TB, cids, uids map[int]int) []byte {
	return must[cocaine.Raw](t)(cocaine.Encode([]map[int]int{cids, uids}))
}

const (
	refusedCode   = "12,13"
	missingCode   = "12,2"
	malformedCode = "9,5"
)

func TestPermissionsOfStorage(t *testing.T) {
	d := start(t, protected(t, nil))
	c := dial(t, d.Addr().String())
	acl := func(uids map[int]int) []byte { return record(t, map[int]int{}, uids) }
	run(t, c, []step{
		// A collection without a record is open to all, and whoever is nobody does not own it.
		{"", "storage", "write", list("open", "k", "v"), ""},
		{"", "storage", "read", list("open", "k"), ""},
		{"7", "storage", "read", list("open", "k"), ""},
		{"", "storage", "find", list("open", list("t")), ""},
		{"ann", "storage", "write", list("open", "k", "v"), ""}, // no list of ids: nobody
		{"", "storage", "remove", list("open", "k"), ""},

		// The first known identity that writes owns it, from that write on.
		{"1", "storage", "write", list("c", "k", "v", list("t")), ""},
		{"2", "storage", "write", list("c", "k", "w"), refusedCode},
		{"2", "storage", "read", list("c", "k"), refusedCode},
		{"2", "storage", "find", list("c", list("t")), refusedCode},
		{"2", "storage", "remove", list("c", "k"), refusedCode},
		{"", "storage", "write", list("c", "k", "w"), refusedCode},
		{"", "storage", "read", list("c", "k"), refusedCode},
		{"0", "storage", "read", list("c", "k"), refusedCode}, // no superuser
		{"1", "storage", "read", list("c", "k"), ""},
		{"1", "storage", "find", list("c", list("t")), ""},
		{"1", "storage", "write", list("c", "k", "v2"), ""},
		{"1", "storage", "remove", list("c", "k"), ""},
		{"1", "storage", "read", list("c", "k"), missingCode},
		{"2", "storage", "read", list("c", "k"), refusedCode}, // whether it is there is none of their business

		// To remove is to write.
		{"3", "storage", "remove", list("removed", "k"), ""},
		{"2", "storage", "write", list("removed", "k", "v"), refusedCode},

		// All ids own what several have written first, and all that are presented must be permitted.
		{"4,5", "storage", "write", list("both", "k", "v"), ""},
		{"4", "storage", "read", list("both", "k"), ""},
		{"5,4", "storage", "write", list("both", "k", "v"), ""},
		{"4,6", "storage", "read", list("both", "k"), refusedCode},

		// What is done with a record counts as done with its collection.
		{"2", "storage", "read", list(".collection-acls", "c"), refusedCode},
		{"2", "storage", "write", list(".collection-acls", "c", acl(map[int]int{2: 3}), list("storage-acls")), refusedCode},
		{"2", "storage", "remove", list(".collection-acls", "c"), refusedCode},
		{"", "storage", "remove", list(".collection-acls", "c"), refusedCode},
		{"1", "storage", "read", list(".collection-acls", "c"), ""},
		{"1", "storage", "write", list(".collection-acls", "c", acl(map[int]int{1: 3, 2: 1}), list("storage-acls")), ""},
		{"2", "storage", "read", list("c", "k"), missingCode},
		{"2", "storage", "write", list("c", "k", "w"), refusedCode},
		{"1", "storage", "write", list(".collection-acls", "c", acl(map[int]int{1: 3, 2: 2}), list("storage-acls")), ""},
		{"2", "storage", "read", list("c", "k"), refusedCode},
		{"2", "storage", "write", list("c", "k", "w"), ""},
		{"1,2", "storage", "write", list("c", "k", "w"), ""},
		{"1,2", "storage", "read", list("c", "k"), refusedCode},
		{"", "storage", "find", list(".collection-acls", list("storage-acls")), ""}, // the names are no secret

		// An empty record is none; one that cannot be read permits nothing.
		{"1", "storage", "write", list(".collection-acls", "c", acl(map[int]int{}), list("storage-acls")), ""},
		{"8", "storage", "read", list("c", "k"), ""},
		{"", "storage", "write", list("c", "k", "w"), ""},
		{"8", "storage", "write", list("c", "k", "w"), ""},
		{"1", "storage", "write", list("c", "k", "w"), refusedCode},
		{"8", "storage", "write", list(".collection-acls", "c", "nonsense", list("storage-acls")), ""},
		{"8", "storage", "read", list("c", "k"), malformedCode},
		{"8", "storage", "write", list(".collection-acls", "c", acl(nil), list("storage-acls")), malformedCode},
		{"1", "storage", "read", list("open", "k"), missingCode},
	})
}

// Records that the original or its tools wrote hold here, and what is written here is
// written as there.
func TestRecordsOfPermissions(t *testing.T) {
	d := start(t, protected(t, nil))
	c := dial(t, d.Addr().String())
	run(t, c, []step{
		{"", "storage", "write", list(".collection-acls", "theirs", "\x92\x81\x05\x01\x81\xcd\x03\xe9\x03", list("storage-acls")), ""},
		{"1001", "storage", "write", list("theirs", "k", "v"), ""},
		{"5", "storage", "read", list("theirs", "k"), refusedCode}, // a client id, which is not a user id
		{"1001", "storage", "write", list("ours", "k", "v"), ""},
		{"", "unicorn", "create", list("/.acls/theirs", list(map[string]int{}, map[string]int{"1001": 3})), ""},
		{"1001", "unicorn", "create", list("/theirs/n", 1), ""},
		{"1002", "unicorn", "create", list("/theirs/m", 1), refusedCode},
		{"1001", "unicorn", "create", list("/ours", 1), ""},
	})
	ctx := soon(t)
	blob := must[string](t)(cocaine.Get[string](ctx, as(c, "1001", "storage"), "read", ".collection-acls", "ours"))
	if blob != "\x92\x80\x81\xcd\x03\xe9\x03" {
		t.Errorf("the record of a collection is %x", blob)
	}
	keys := must[[]string](t)(cocaine.Get[[]string](ctx, as(c, "", "storage"), "find", ".collection-acls", []string{"storage-acls"}))
	if !slices.Equal(keys, []string{"ours", "theirs"}) {
		t.Errorf("collections with records: %q", keys)
	}
	v := must[[]cocaine.Raw](t)(cocaine.Get[[]cocaine.Raw](ctx, as(c, "1001", "unicorn"), "get", "/.acls/ours"))
	if string(v[0]) != "\x92\x80\x81\xa41001\x03" {
		t.Errorf("the record of a subtree is %x", v[0])
	}
}

func TestPermissionsOfUnicorn(t *testing.T) {
	d := start(t, protected(t, nil))
	c := dial(t, d.Addr().String())
	const badPath = "11,6"
	acl := func(uids map[string]int) []any { return list(map[string]int{}, uids) }
	run(t, c, []step{
		// Open to all, and nobody's after nobody has changed it.
		{"", "unicorn", "create", list("/open/n", 1), ""},
		{"", "unicorn", "put", list("/open/n", 2, 0), ""},
		{"7", "unicorn", "get", list("/open/n"), ""},
		{"7", "unicorn", "subscribe", list("/open/n"), ""},
		{"7", "unicorn", "children_subscribe", list("/open"), ""},
		{"", "unicorn", "del", list("/open/n", -1), ""},

		{"1", "unicorn", "create", list("/a/n", 1), ""},
		{"1", "unicorn", "get", list("/a/n"), ""},
		{"1", "unicorn", "put", list("/a/n", 2, 0), ""},
		{"1", "unicorn", "increment", list("/a/n", 2), ""},
		{"1", "unicorn", "subscribe", list("/a/n"), ""},
		{"1", "unicorn", "children_subscribe", list("/a"), ""},
		{"1", "unicorn", "lock", list("/a/lock"), ""},
		{"1", "unicorn", "named_lock", list("/a/lock", "x"), ""},
		{"1", "unicorn", "create", list("/a/m", 1), ""},
		{"1", "unicorn", "remove", list("/a/m", -1), ""},
		{"2", "unicorn", "get", list("/a/n"), refusedCode},
		{"2", "unicorn", "subscribe", list("/a/n"), refusedCode},
		{"2", "unicorn", "children_subscribe", list("/a"), refusedCode},
		{"2", "unicorn", "create", list("/a/m", 1), refusedCode},
		{"2", "unicorn", "put", list("/a/n", 3, 2), refusedCode},
		{"2", "unicorn", "del", list("/a/n", -1), refusedCode},
		{"2", "unicorn", "remove", list("/a/n", -1), refusedCode},
		{"2", "unicorn", "increment", list("/a/n", 1), refusedCode},
		{"2", "unicorn", "lock", list("/a/lock"), refusedCode},
		{"2", "unicorn", "named_lock", list("/a/lock", "x"), refusedCode},
		{"", "unicorn", "get", list("/a/n"), refusedCode},
		{"", "unicorn", "create", list("/a/m", 1), refusedCode},
		{"1,2", "unicorn", "get", list("/a/n"), refusedCode},

		// The record of a subtree is protected as the subtree, while nobody owns the records.
		{"2", "unicorn", "get", list("/.acls/a"), refusedCode},
		{"2", "unicorn", "put", list("/.acls/a", acl(map[string]int{"2": 3}), 0), refusedCode},
		{"", "unicorn", "del", list("/.acls/a", -1), refusedCode},
		{"1", "unicorn", "put", list("/.acls/a", acl(map[string]int{"1": 3, "2": 1, "3": 2}), 0), ""},
		{"2", "unicorn", "get", list("/a/n"), ""},
		{"2", "unicorn", "put", list("/a/n", 3, 2), refusedCode},
		{"2", "unicorn", "lock", list("/a/lock"), refusedCode},
		{"3", "unicorn", "get", list("/a/n"), refusedCode},
		{"3", "unicorn", "put", list("/a/n", 3, 2), refusedCode}, // it takes both
		{"1", "unicorn", "put", list("/.acls/a", "nonsense", 1), ""},
		{"1", "unicorn", "get", list("/a/n"), malformedCode},
		{"1", "unicorn", "put", list("/.acls/a", acl(nil), 2), malformedCode},

		// Once somebody owns the records, it is he who edits them.
		{"9", "unicorn", "create", list("/.acls/b", acl(map[string]int{"4": 3})), ""},
		{"9", "unicorn", "put", list("/.acls/a", acl(map[string]int{"1": 3}), 2), ""},
		{"1", "unicorn", "get", list("/a/n"), ""},
		{"1", "unicorn", "put", list("/.acls/a", acl(map[string]int{"1": 1}), 3), refusedCode},
		{"4", "unicorn", "create", list("/b/n", 1), ""},
		{"9", "unicorn", "create", list("/b/m", 1), refusedCode},

		{"1", "unicorn", "get", list("/"), badPath},
		{"1", "unicorn", "create", list("//", 1), badPath},
		{"", "unicorn", "put", list("///", 1, 0), badPath},
		{"1", "unicorn", "create", list("a", 1), badPath},
		{"1", "unicorn", "create", list("//a", 1), "11,11"},
		{"1", "unicorn", "lock", list(""), badPath},
	})
}

func TestPermissionsOfEvents(t *testing.T) {
	d := start(t, protected(t, nil))
	c := dial(t, d.Addr().String())
	newApp("hello").upload(t, c)
	const noIdentity, denied = "9,2", "9,3"
	methods := func(names ...string) map[string]any {
		m := make(map[string]any)
		for _, name := range names {
			m[name] = map[string]any{}
		}
		return m
	}
	run(t, c, []step{
		{"", "node", "start_app", list("hello", "hello"), noIdentity},
		{"1", "node", "start_app", list("hello", "hello"), denied},
		{"", "node", "pause_app", list("hello"), noIdentity},
		{"", "admin", "deploy", list("hello", "hello"), noIdentity},
		{"", "admin", "remove", list("hello"), noIdentity},
		{"1", "admin", "deploy", list("hello", "hello"), denied},
		{"1", "admin", "remove", list("hello"), denied},
		{"9", "unicorn", "create", list("/.acls/event/node/uids/1", methods("start_app", "pause_app")), ""},
		{"9", "unicorn", "create", list("/.acls/event/node/uids/2", methods("pause_app")), ""},
		{"9", "unicorn", "create", list("/.acls/event/node/cids/3", methods("start_app")), ""},
		{"9", "unicorn", "create", list("/.acls/event/node/uids/4", "nonsense"), ""},
		{"8", "unicorn", "create", list("/.acls/event/node/uids/8", methods("start_app")), refusedCode},
		{"3", "node", "start_app", list("hello", "hello"), denied}, // client 3 may, user 3 may not
		{"2", "node", "start_app", list("hello", "hello"), denied},
		{"1,2", "node", "start_app", list("hello", "hello"), denied},
		{"4", "node", "start_app", list("hello", "hello"), malformedCode},
		{"1", "node", "start_app", list("hello", "hello"), ""},
		{"", "node", "list", nil, ""},
		{"", "node", "info", list("hello"), ""},
		{"", "admin", "status", nil, ""},
		{"2", "admin", "remove", list("hello"), ""},
		{"1", "node", "pause_app", list("hello"), "20991,6"},
		{"9", "unicorn", "del", list("/.acls/event/node/uids/1", 0), ""},
		{"1", "node", "pause_app", list("hello"), denied}, // at once
	})
}

// Clients of v0.11 have no headers: they are anonymous, under the same rules.
func TestOldClientsAreAnonymous(t *testing.T) {
	d := start(t, protected(t, nil))
	c := dial(t, d.Addr().String())
	newApp("hello").upload(t, c)
	run(t, c, []step{
		{"1", "storage", "write", list("c", "k", "v", list("t")), ""},
		{"", "storage", "write", list("open", "k", "v"), ""},
		{"1", "unicorn", "create", list("/a/n", 1), ""},
	})
	loc := dialOld(t, d.Addr().String())
	refused := func(what string, service *oldClient, text string, method uint64, args ...any) {
		t.Helper()
		if chunks, failed := service.call(method, args...); failed == nil || len(chunks) > 0 || !strings.Contains(failed.text, text) {
			t.Errorf("%s: %d chunks, %v", what, len(chunks), failed)
		}
	}
	store := loc.service("storage")
	refused("read", store, "Permission denied", idl.StorageRead, "c", "k")
	refused("write", store, "Permission denied", idl.StorageWrite, "c", "k", "w", list())
	refused("remove", store, "Permission denied", idl.StorageRemove, "c", "k")
	refused("find", store, "Permission denied", idl.StorageFind, "c", list("t"))
	refused("record", store, "Permission denied", idl.StorageRemove, ".collection-acls", "c")
	if chunks, failed := store.call(idl.StorageRead, "open", "k"); failed != nil || len(chunks) != 1 {
		t.Errorf("read of an open collection: %v", failed)
	}
	node := loc.service("node")
	refused("start", node, "no identity", 0, dict{"hello": "hello"})
	refused("pause", node, "no identity", 1, list("hello"))
	tree := loc.service("unicorn")
	refused("get", tree, "Permission denied", idl.UnicornGet, "/a/n")
	refused("create", tree, "Permission denied", idl.UnicornCreate, "/a/m", 1)
	refused("lock", tree, "Permission denied", idl.UnicornLock, "/a/lock")
	refused("deploy", loc.service("admin"), "no identity", idl.AdminDeploy, "hello", "hello")
}

// Of many who are first, one is; the others are told so, and nobody overwrites the
// record.
func TestContentionForOwnership(t *testing.T) {
	d := start(t, protected(t, nil))
	ctx := soon(t)
	const writers = 12
	for round := range 5 {
		name := fmt.Sprintf("c%d", round)
		for _, kind := range []struct {
			service, method string
			args            []any
			refusals        []string
		}{
			{"storage", "write", list(name, "k", "v"), []string{refusedCode}},
			{"unicorn", "lock", list("/" + name + "/lock"), []string{refusedCode, "11,9"}},
		} {
			var wg sync.WaitGroup
			codes := make([]string, writers)
			begin := make(chan struct{})
			for i := range writers {
				c := dial(t, d.Addr().String())
				s := as(c, fmt.Sprint(i+1), kind.service)
				if err := c.Service(kind.service).Connect(ctx); err != nil {
					t.Fatal(err)
				}
				wg.Go(func() {
					<-begin
					codes[i] = codeOf(do(ctx, s, kind.method, kind.args...))
				})
			}
			close(begin)
			wg.Wait()
			winners := 0
			for i, code := range codes {
				switch {
				case code == "":
					winners++
					c := dial(t, d.Addr().String())
					if err := do(ctx, as(c, fmt.Sprint(i+1), kind.service), kind.method, kind.args...); err != nil {
						t.Errorf("%s: the owner, %d, is refused: %v", kind.service, i+1, err)
					}
				case !slices.Contains(kind.refusals, code):
					t.Errorf("%s: %d is told %q", kind.service, i+1, code)
				}
			}
			if winners != 1 {
				t.Errorf("%s: %d of %d own it", kind.service, winners, writers)
			}
		}
	}
}

// One identity may be first many times at once.
func TestOneOwnerManyConnections(t *testing.T) {
	d := start(t, protected(t, nil))
	ctx := soon(t)
	c := dial(t, d.Addr().String())
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := do(ctx, as(c, "1", "storage"), "write", "c", fmt.Sprint(i), "v"); err != nil {
				t.Error(err)
			}
			if err := do(ctx, as(c, "1", "unicorn"), "create", fmt.Sprintf("/a/%d", i), "v"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestUnicat(t *testing.T) {
	d := start(t, protected(t, nil))
	c := dial(t, d.Addr().String())
	thing := func(scheme string, service any, name string) []any { return list(list(scheme, service, name)) }
	invalid := "12,22"
	run(t, c, []step{
		{"1", "storage", "write", list("c", "k", "v"), ""},
		{"2", "unicat", "grant", list(thing("storage", nil, "c"), list(), list(2), 3), refusedCode},
		{"", "unicat", "grant", list(thing("storage", nil, "c"), list(), list(2), 3), refusedCode},
		{"1", "unicat", "grant", list(thing("storage", nil, "c"), list(5), list(2), 1), ""},
		{"2", "storage", "read", list("c", "k"), ""},
		{"2", "storage", "write", list("c", "k", "w"), refusedCode},
		{"1", "unicat", "grant", list(thing("storage", "core", "c"), list(), list(2), 2), ""},
		{"2", "storage", "write", list("c", "k", "w"), ""}, // bits are added
		{"2", "storage", "read", list("c", "k"), ""},
		{"1", "unicat", "revoke", list(thing("storage", "", "c"), list(), list(2), 1), ""},
		{"2", "storage", "read", list("c", "k"), refusedCode},
		{"2", "storage", "write", list("c", "k", "w"), ""},
		{"1", "unicat", "revoke", list(thing("storage", "", "c"), list(5), list(1, 2), 3), ""},
		{"1", "storage", "read", list("c", "k"), refusedCode}, // nobody may, which is not that all may
		{"7", "storage", "read", list("c", "k"), refusedCode},

		{"1", "unicat", "grant", list(thing("storage", nil, "new"), list(), list(2), 1), ""}, // and owns it
		{"1", "storage", "write", list("new", "k", "v"), ""},
		{"2", "storage", "read", list("new", "k"), ""},
		{"3", "storage", "read", list("new", "k"), refusedCode},

		{"1", "unicorn", "create", list("/a/n", 1), ""},
		{"2", "unicat", "grant", list(thing("unicorn", nil, "a"), list(), list(2), 3), refusedCode},
		{"1", "unicat", "grant", list(thing("unicorn", nil, "/a"), list(), list(2), 1), ""},
		{"2", "unicorn", "get", list("/a/n"), ""},
		{"2", "unicorn", "put", list("/a/n", 2, 0), refusedCode},
		{"2", "unicat", "revoke", list(thing("unicorn", nil, "a"), list(), list(1), 3), refusedCode},
		{"1", "unicat", "grant", list(thing("unicorn", nil, "/a/n/deeper"), list(), list(2), 2), ""},
		{"2", "unicorn", "put", list("/a/n", 2, 0), ""},
		{"1", "unicat", "revoke", list(thing("unicorn", nil, "a"), list(), list(2), 3), ""},
		{"2", "unicorn", "get", list("/a/n"), refusedCode},

		{"1", "unicat", "grant", list(list(list("storage", nil, "x"), list("unicorn", nil, "y")), list(), list(2), 3), ""},
		{"2", "storage", "write", list("x", "k", "v"), ""},
		{"2", "unicorn", "create", list("/y/n", 1), ""},

		{"1", "unicat", "grant", list(thing("file", nil, "c"), list(), list(2), 3), invalid},
		{"1", "unicat", "grant", list(thing("storage", "other", "c"), list(), list(2), 3), invalid},
		{"1", "unicat", "grant", list(thing("storage", nil, ""), list(), list(2), 3), invalid},
		{"1", "unicat", "grant", list(thing("unicorn", nil, "/"), list(), list(2), 3), "11,6"},
		{"1", "unicat", "grant", list(thing("storage", nil, "z"), list(), list(2), 4), invalid},
		{"1", "unicat", "grant", list(thing("storage", nil, "z"), list(), list(2), -1), invalid},
		{"1", "unicat", "grant", list(list(list("storage", "z")), list(), list(2), 1), "7,2"},
		{"1", "unicat", "grant", list(thing("storage", nil, "z"), list(1<<32), list(2), 1), "7,2"},
		{"2", "storage", "write", list("z", "k", "v"), ""}, // none of these has changed anything
	})
}

// No permission is lost when many are given at once.
func TestContentionForRecords(t *testing.T) {
	d := start(t, protected(t, nil))
	c, ctx := dial(t, d.Addr().String()), soon(t)
	const users = 24
	things := list(list("storage", nil, "c"), list("unicorn", nil, "a"))
	if err := do(ctx, as(c, "1", "unicat"), "grant", things, list(), list(), 0); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range users {
		wg.Go(func() {
			if err := do(ctx, as(c, "1", "unicat"), "grant", things, list(), list(100+i), 3); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range users {
		who := fmt.Sprint(100 + i)
		if err := errors.Join(do(ctx, as(c, who, "storage"), "write", "c", who, "v"),
			do(ctx, as(c, who, "unicorn"), "create", "/a/"+who, 1)); err != nil {
			t.Errorf("user %s: %v", who, err)
		}
	}
}

// Without authorizations everything is permitted, records or not, and unicat runs only
// if it is named.
func TestDisabledAuthorizations(t *testing.T) {
	d := start(t, daemon.Options{Config: configuration(directory(t), nil)})
	c := dial(t, d.Addr().String())
	run(t, c, []step{
		{"1", "storage", "write", list("c", "k", "v"), ""},
		{"2", "storage", "write", list("c", "k", "v"), ""},
		{"", "storage", "write", list(".collection-acls", "c", record(t, map[int]int{}, map[int]int{1: 3})), ""},
		{"2", "storage", "read", list("c", "k"), ""},
		{"1", "unicorn", "create", list("/a", 1), ""},
		{"2", "unicorn", "put", list("/a", 1, 0), ""},
		{"2", "node", "pause_app", list("none"), "20991,6"},
	})
	if keys := must[[]string](t)(cocaine.Get[[]string](soon(t), c.Service("storage"), "find", ".collection-acls", []string{"storage-acls"})); len(keys) > 0 {
		t.Errorf("records were made: %q", keys)
	}
	if err := c.Service("unicat").Connect(soon(t)); codeOf(err) != "10,1" {
		t.Errorf("unicat: %v", err)
	}
}

// The workers of an app call services under the user id that the configuration gives
// them.
func TestTokensOfWorkers(t *testing.T) {
	d := start(t, protected(t, map[string]string{"authentication.workers": "hello=1001", "authorizations.event": "disabled"}))
	c, ctx := dial(t, d.Addr().String()), soon(t)
	for name, want := range map[string]string{"hello": "promiscuous 1001", "other": " "} {
		newApp(name).deploy(t, c)
		if got, err := cocaine.Get[string](ctx, c.Service(name), "enqueue", "token"); err != nil || got != want {
			t.Errorf("workers of %s have the token %q, %v, want %q", name, got, err, want)
		}
	}
}
