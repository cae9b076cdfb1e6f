package cocaine_test

import (
	"reflect"
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

func TestLocatorsOfAClient(t *testing.T) {
	t.Setenv(cocaine.LocatorVariable, "not:an:address")
	if _, err := cocaine.New(cocaine.Options{}); err == nil {
		t.Error("a bad environment was taken")
	}
	for _, o := range []cocaine.Options{{Locators: []string{"here"}}, {Locators: []string{"here", "there:1"}}} {
		client, err := cocaine.New(o)
		if err != nil {
			t.Fatal(err)
		}
		client.Close()
	}
	if _, err := cocaine.New(cocaine.Options{Locators: []string{"a:b:c"}}); err == nil {
		t.Error("a bad option was taken")
	}
}
