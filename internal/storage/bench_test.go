package storage_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/cocaine/cocaine-go/internal/jetstream"
	"github.com/cocaine/cocaine-go/internal/storage"
)

func BenchmarkWrite(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprintf("64B/writers=%d", writers), func(b *testing.B) {
			s := openStore(b, openState(b, b.TempDir()))
			value := make([]byte, 64)
			var wg sync.WaitGroup
			b.ResetTimer()
			for w := range writers {
				wg.Go(func() {
					for i := w; i < b.N; i += writers {
						if err := s.Write(context.Background(), "bench", fmt.Sprint(i%1000), value, []string{"tag"}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, size := range []int{64, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			s := openStore(b, openState(b, b.TempDir()))
			if err := s.Write(b.Context(), "bench", "k", make([]byte, size), nil); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := s.Read(b.Context(), "bench", "k"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFind looks among 10,000 keys for all, for a few, and for the few that
// have two tags.
func BenchmarkFind(b *testing.B) {
	s := storage.NewMemory() // the index is the same
	for i := range 10_000 {
		if err := s.Write(b.Context(), "bench", fmt.Sprintf("key-%d", i), nil, []string{"all", fmt.Sprintf("one of %d", i%1000)}); err != nil {
			b.Fatal(err)
		}
	}
	for _, tags := range [][]string{{"all"}, {"one of 7"}, {"all", "one of 7"}} {
		b.Run(fmt.Sprint(tags), func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Find(b.Context(), "bench", tags); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpen opens and closes a state and the store in it.
func BenchmarkOpen(b *testing.B) {
	for _, fill := range []struct {
		name         string
		values, size int
	}{{"empty", 0, 0}, {"100MB in 10000 values", 10_000, 10 << 10}, {"100MB in 10 values", 10, 10 << 20}} {
		b.Run(fill.name, func(b *testing.B) {
			dir := b.TempDir()
			cycle := func(f func(s *storage.JetStream)) {
				state, err := jetstream.Open(b.Context(), jetstream.Options{Dir: dir})
				if err != nil {
					b.Fatal(err)
				}
				s, err := storage.NewJetStream(b.Context(), state)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				f(s)
				s.Close()
				state.Close()
				b.StartTimer()
			}
			cycle(func(s *storage.JetStream) {
				var wg sync.WaitGroup
				for w := range 16 {
					wg.Go(func() {
						for i := w; i < fill.values; i += 16 {
							if err := s.Write(context.Background(), "bench", fmt.Sprint(i), make([]byte, fill.size), []string{"tag"}); err != nil {
								b.Error(err)
							}
						}
					})
				}
				wg.Wait()
			})
			for b.Loop() {
				cycle(func(*storage.JetStream) {})
			}
		})
	}
}
