package clientgen

import (
	"errors"
	"fmt"
	"go/format"
	"go/token"

	"github.com/cocaine/cocaine-go"
)

// Options say how the client is called. Empty ones are made of the service's name.
type Options struct {
	Package string   // name of the package
	Type    string   // name of the client's type, exported
	Events  []string // events of an app that get a method
}

// Errors of Generate.
var (
	// ErrNoMethods is a service that tells of no methods: it speaks another
	// protocol than Cocaine's.
	ErrNoMethods = errors.New("it has no methods")
	// ErrNoApp is a service that is asked for events and has none.
	ErrNoApp = errors.New("it is no app, it has no events")
	// ErrName is an option that cannot be a name in Go.
	ErrName = errors.New("bad name")
)

// Generate writes a client of a service as the one file of a package, formatted.
func Generate(r *cocaine.Resolution, o Options) ([]byte, error) {
	if err := o.complete(r.Name); err != nil {
		return nil, err
	}
	f, err := plan(r, o)
	if err != nil {
		return nil, fmt.Errorf("cannot generate a client of %s: %w", clean(r.Name), err)
	}
	source, err := format.Source(f.source())
	if err != nil {
		return nil, fmt.Errorf("cannot generate a client of %s: %w", clean(r.Name), err)
	}
	return source, nil
}

// complete fills in what was left out.
func (o *Options) complete(service string) error {
	if o.Package == "" {
		o.Package = packageName(service)
	}
	if o.Type == "" {
		o.Type = typeName(service)
	}
	if !token.IsIdentifier(o.Package) || o.Package == "_" {
		return fmt.Errorf("%w: %q cannot be the name of a package", ErrName, o.Package)
	}
	if !token.IsIdentifier(o.Type) || !token.IsExported(o.Type) {
		return fmt.Errorf("%w: %q cannot be the name of an exported type", ErrName, o.Type)
	}
	return nil
}
