package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A seal is what Close leaves in DIR/sealed: the size of every block file of the
// engine, and the checksum of those that hold keys. Open compares and then removes
// it, so there is none while the directory is in use or after a crash.
//
// It is needed because the engine, when a block file has shrunk or a bit of it has
// flipped, cuts the file at that point and goes on without the rest; for us that
// would be a node that has forgotten its applications.
type seal map[string]sealedFile

type sealedFile struct {
	Size int64  `json:"size"`
	CRC  uint32 `json:"crc,omitempty"` // zero: not computed
}

const sealName = "sealed"

// sealBudget bounds how many bytes Open and Close read for checksums. Blocks of
// blobs never count: a damaged blob is noticed by who reads it.
const sealBudget = 256 << 20

// takeSeal describes the block files below streams.
func takeSeal(streams string) (seal, error) {
	s := make(seal)
	budget := int64(sealBudget)
	err := filepath.WalkDir(streams, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == streams {
			return nil
		}
		if err != nil || d.IsDir() || filepath.Ext(path) != ".blk" {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(streams, path)
		if err != nil {
			return err
		}
		file := sealedFile{Size: fi.Size()}
		if budget -= file.Size; budget >= 0 && !strings.HasPrefix(name, "BLOB_") {
			if file.CRC, err = checksum(path); err != nil {
				return err
			}
		}
		s[name] = file
		return nil
	})
	return s, err
}

// check compares the sealed files with what is on disk.
func (s seal) check(streams string) error {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		path := filepath.Join(streams, name)
		fi, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrDamaged, name, causeOf(err))
		}
		if fi.Size() != s[name].Size {
			return fmt.Errorf("%w: %s has %d bytes instead of %d", ErrDamaged, name, fi.Size(), s[name].Size)
		}
		if s[name].CRC == 0 {
			continue
		}
		crc, err := checksum(path)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrDamaged, name, causeOf(err))
		}
		if crc != s[name].CRC {
			return fmt.Errorf("%w: the checksum of %s is wrong", ErrDamaged, name)
		}
	}
	return nil
}

// breakSeal checks and removes the seal of dir, if there is one. The removal is
// durable before the engine may touch a block.
func breakSeal(dir string) error {
	path := filepath.Join(dir, sealName)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var s seal
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, sealName, err)
	}
	if err := s.check(streamsDir(dir)); err != nil {
		return fmt.Errorf("%w; restore the directory from a backup, or remove %s to go on with what is left", err, path)
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return syncDir(dir)
}

// writeSeal seals dir. The engine must be down.
func writeSeal(dir string) error {
	s, err := takeSeal(streamsDir(dir))
	if err != nil {
		return err
	}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, sealName+".tmp")
	if err := writeSynced(tmp, data); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(dir, sealName)); err != nil {
		return err
	}
	return syncDir(dir)
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// checksum is the CRC-32C of a file, with zero turned into one.
func checksum(path string) (uint32, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if _, err := io.CopyBuffer(h, f, make([]byte, 256<<10)); err != nil {
		return 0, err
	}
	return max(h.Sum32(), 1), nil
}
