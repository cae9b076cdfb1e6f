package storage

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/cocaine/cocaine-go/internal/jetstream"
)

// orphanAge is how old an unused blob must be to be deleted while other processes
// may be writing: longer than any write takes.
const orphanAge = 24 * time.Hour

// collect deletes the blobs that no key refers to. They are left by a process that
// died between writing a blob and its key, or between replacing a key and deleting
// the old blob. list must be older than the index. Failure is harmless: the blobs
// are collected the next time.
func (s *JetStream) collect(ctx context.Context, list []jetstream.BlobInfo, exclusive bool) {
	used := s.index.blobs()
	for _, b := range list {
		if used[b.Name] || !exclusive && time.Since(blobTime(b.Name)) < orphanAge {
			continue
		}
		if err := s.blobs.Delete(ctx, b.Name); err != nil {
			s.log.Warn("storage: an unused value stays for now", "cause", err)
			return
		}
		s.log.Info("storage: deleted an unused value", "blob", b.Name, "complete", b.Complete)
	}
}

// blobTime reads the time from a blob's name; a name without one is young.
func blobTime(name string) time.Time {
	head, _, _ := strings.Cut(name, "-")
	seconds, err := strconv.ParseInt(head, 16, 64)
	if err != nil {
		return time.Now()
	}
	return time.Unix(seconds, 0)
}
