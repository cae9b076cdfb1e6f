package manifest_test

import (
	"reflect"
	"testing"

	"github.com/cocaine/cocaine-go/internal/manifest"
)

func FuzzManifestRecord(f *testing.F) {
	f.Add([]byte("\x82\xa5slave\xa3run\xabenvironment\x81\xa1A\xa11"))
	f.Add([]byte("\x83\xd9\x05slave\xc4\x03run\xa4args\x91\xa1x\xa1z\x92\xc0\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, record []byte) {
		m, err := manifest.DecodeManifest("app", record)
		if err == nil {
			checkManifest(t, m)
		}
	})
}

func FuzzManifestJSON(f *testing.F) {
	f.Add([]byte(`{"slave": "run", "args": ["-v"], "environment": {"A": 1}, "drivers": {"x": [1.5]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := manifest.DecodeManifestJSON("app", "f", text)
		if err == nil {
			checkManifest(t, m)
		}
	})
}

// checkManifest: what was accepted is usable and survives its record.
func checkManifest(t *testing.T, m *manifest.Manifest) {
	if m.Slave == "" {
		t.Fatal("no program")
	}
	record, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := manifest.DecodeManifest("app", record)
	if err != nil {
		t.Fatalf("the record of an accepted manifest is refused: %v", err)
	}
	if again.Slave != m.Slave || len(again.Args) != len(m.Args) || len(again.Environment) != len(m.Environment) {
		t.Fatalf("have %+v, want %+v", again, m)
	}
}

func FuzzProfileRecord(f *testing.F) {
	f.Add([]byte("\x81\xaapool-limit\x05"))
	f.Add([]byte("\x81\xa7isolate\x82\xa4type\xa6docker\xa4args\x81\xacmemory-limit\xa364M"))
	f.Fuzz(func(t *testing.T, record []byte) {
		p, err := manifest.DecodeProfile("p", record)
		if err == nil {
			checkProfile(t, p)
		}
	})
}

func FuzzProfileJSON(f *testing.F) {
	f.Add([]byte(`{"pool-limit": 5, "queue-limit": -1, "idle-timeout": 0.5, "isolate": {"type": "x", "args": null}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := manifest.DecodeProfileJSON("p", "f", text)
		if err == nil {
			checkProfile(t, p)
		}
	})
}

// checkProfile: what was accepted keeps its promises and survives its record.
func checkProfile(t *testing.T, p *manifest.Profile) {
	if p.PoolLimit < 1 || p.PoolMin > p.PoolLimit || p.Concurrency < 1 || p.GrowThreshold < 1 || p.QueueLimit < -1 ||
		p.SpawnTimeout <= 0 || p.HandshakeTimeout <= 0 || p.IdleTimeout < 0 || p.Isolate.Type == "" || p.Isolate.Args == nil {
		t.Fatalf("accepted %+v", p)
	}
	record, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := manifest.DecodeProfile("p", record)
	if err != nil {
		t.Fatalf("the record of an accepted profile is refused: %v", err)
	}
	one, two := *p, *again
	one.Raw, two.Raw, one.Isolate.Args, two.Isolate.Args = nil, nil, nil, nil // numbers change their Go type, not their value
	if !reflect.DeepEqual(one, two) {
		t.Fatalf("have %+v, want %+v", two, one)
	}
}

func FuzzRunlistRecord(f *testing.F) {
	f.Add([]byte("\x81\xa1a\xa5small"))
	f.Fuzz(func(t *testing.T, record []byte) {
		list, err := manifest.DecodeRunlist("r", record)
		if err != nil {
			return
		}
		b, err := list.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := manifest.DecodeRunlist("r", b); err != nil || !reflect.DeepEqual(again, list) {
			t.Fatalf("have %v, %v, want %v", again, err, list)
		}
	})
}

func FuzzApp(f *testing.F) {
	f.Add([]byte(appText))
	f.Add([]byte("run = 'x y'\npool.idle = 1.5\n[env]\nA = 1979-05-27\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		app, err := manifest.ParseApp("f", text)
		if err != nil {
			return
		}
		checkProfile(t, app.Profile)
		if len(app.Run) > 0 {
			checkManifest(t, app.Manifest())
		}
	})
}
