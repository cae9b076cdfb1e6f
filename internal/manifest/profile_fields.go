package manifest

import (
	"math"
	"time"

	"github.com/cocaine/cocaine-go/internal/document"
)

// profileField is a key of a profile that holds one scalar.
type profileField struct {
	key   string
	read  func(*document.Table, *Profile)
	value func(*Profile) any // as a record holds it
}

// profileFields lists the scalar keys. Defaults are in baseProfile and derive.
func profileFields() []profileField {
	return []profileField{
		count(keyPoolLimit, 1, func(p *Profile) *int { return &p.PoolLimit }),
		count(keyPoolMin, 0, func(p *Profile) *int { return &p.PoolMin }),
		count(keyQueueLimit, UnlimitedQueue, func(p *Profile) *int { return &p.QueueLimit }),
		count("concurrency", 1, func(p *Profile) *int { return &p.Concurrency }),
		count(keyGrowThreshold, 1, func(p *Profile) *int { return &p.GrowThreshold }),
		count("crashlog-limit", 0, func(p *Profile) *int { return &p.CrashlogLimit }),
		count(keyPublishOn, 0, func(p *Profile) *int { return &p.PublishOn }),
		count(keyUnpublishUnder, 0, func(p *Profile) *int { return &p.UnpublishUnder }),
		flag("log-output", func(p *Profile) *bool { return &p.LogOutput }),
		positive("heartbeat-timeout", func(p *Profile) *time.Duration { return &p.HeartbeatTimeout }),
		positive(keySpawn, func(p *Profile) *time.Duration { return &p.SpawnTimeout }),
		positive("handshake-timeout", func(p *Profile) *time.Duration { return &p.HandshakeTimeout }),
		positive("request-timeout", func(p *Profile) *time.Duration { return &p.RequestTimeout }),
		seconds("idle-timeout", 0, func(p *Profile) *time.Duration { return &p.IdleTimeout }),
		seconds("seal-timeout", 0, func(p *Profile) *time.Duration { return &p.SealTimeout }),
		seconds("terminate-timeout", 0, func(p *Profile) *time.Duration { return &p.TerminateTimeout }),
	}
}

func count(key string, least int, at func(*Profile) *int) profileField {
	return profileField{
		key:   key,
		read:  func(t *document.Table, p *Profile) { document.Read(t, key, document.Int(least, maxCount), at(p)) },
		value: func(p *Profile) any { return int64(*at(p)) },
	}
}

func flag(key string, at func(*Profile) *bool) profileField {
	return profileField{
		key:   key,
		read:  func(t *document.Table, p *Profile) { document.Read(t, key, document.Bool, at(p)) },
		value: func(p *Profile) any { return *at(p) },
	}
}

// positive is a time that cannot be zero: a timer of that length would fire at
// once and nothing would ever work.
func positive(key string, at func(*Profile) *time.Duration) profileField {
	return seconds(key, time.Millisecond, at)
}

func seconds(key string, least time.Duration, at func(*Profile) *time.Duration) profileField {
	return profileField{
		key:   key,
		read:  func(t *document.Table, p *Profile) { document.Read(t, key, document.Seconds(least), at(p)) },
		value: func(p *Profile) any { return inSeconds(*at(p)) },
	}
}

// inSeconds writes a time as a record holds it: whole seconds as an integer,
// which every version reads.
func inSeconds(d time.Duration) any {
	s := d.Seconds()
	if s == math.Trunc(s) {
		return int64(s)
	}
	return s
}
