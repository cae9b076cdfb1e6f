package daemon

import (
	"github.com/cocaine/cocaine-go/internal/config"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/urlfetch"
)

func newURLFetch(d *Daemon, name string, args any) (extra, error) {
	a := args.(config.URLFetchArgs)
	f := urlfetch.New(urlfetch.Options{MaxBytes: a.MaxBytes, MaxTime: a.MaxTime, Redirects: a.Redirects,
		Connections: a.Connections, LinkLocal: a.LinkLocal})
	o := d.mux(name)
	o.Calls = a.Connections
	return extra{proto: idl.URLFetch, a: urlfetch.Service(f, o), free: f.Close}, nil
}
