package cocaine_test

import (
	"context"
	"errors"
	"net"
	"reflect"
	"slices"
	"testing"

	"github.com/cocaine/cocaine-go"
)

func TestParseLocators(t *testing.T) {
	for in, want := range map[string][]string{
		"localhost":            {"localhost:10053"},
		"localhost:10054":      {"localhost:10054"},
		"127.0.0.1":            {"127.0.0.1:10053"},
		"::1":                  {"[::1]:10053"},
		"[::1]":                {"[::1]:10053"},
		"[ff:fdf::fdfd]:10054": {"[ff:fdf::fdfd]:10054"},
		"host1:10053,127.0.0.1:10054,[ff:fdf::fdfd]:10054": {"host1:10053", "127.0.0.1:10054", "[ff:fdf::fdfd]:10054"},
		" a , b:1 ,":                     {"a:10053", "b:1"},
		"unix:/run/cocaine/locator,host": {"unix:/run/cocaine/locator", "host:10053"},
	} {
		if got, err := cocaine.ParseLocators(in); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", ",", "host:port", "host:", ":10053", "host:0", "host:65536", "a:b:c", "[::1", "unix:", "host,unix:"} {
		if got, err := cocaine.ParseLocators(in); err == nil {
			t.Errorf("%q was taken for %q", in, got)
		}
	}
}

// Where a client looks for locators: what its options say comes before the environment,
// and that before the address that is known to all.
func TestLocatorsOfAClient(t *testing.T) {
	for _, c := range []struct {
		env  string
		opt  []string
		want []string // that are dialed
	}{
		{"", nil, []string{"tcp " + cocaine.DefaultLocator}},
		{"10.0.0.1,10.0.0.2:5", nil, []string{"tcp 10.0.0.1:10053", "tcp 10.0.0.2:5"}},
		{"10.0.0.1", []string{"here", "[::1]:7", "unix:/run/locator"}, []string{"tcp here:10053", "tcp [::1]:7", "unix /run/locator"}},
		{"not:an:address", []string{"here"}, []string{"tcp here:10053"}},
	} {
		t.Setenv(cocaine.LocatorVariable, c.env)
		var dialed []string // by one goroutine, which Connect waits for
		client, err := cocaine.New(cocaine.Options{Locators: c.opt, Dial: func(_ context.Context, network, address string) (net.Conn, error) {
			dialed = append(dialed, network+" "+address)
			return nil, errRefused
		}})
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Service("locator").Connect(patient(t)); !errors.Is(err, errRefused) {
			t.Errorf("%q, %q: %v", c.env, c.opt, err)
		}
		client.Close()
		if !slices.Equal(dialed, c.want) {
			t.Errorf("%q, %q: dialed %q, want %q", c.env, c.opt, dialed, c.want)
		}
	}
	t.Setenv(cocaine.LocatorVariable, "not:an:address")
	for _, bad := range [][]string{nil, {"a:b:c"}} {
		if _, err := cocaine.New(cocaine.Options{Locators: bad}); !errors.Is(err, cocaine.ErrBadArgument) {
			t.Errorf("%q was taken: %v", bad, err)
		}
	}
}
