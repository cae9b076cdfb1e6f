package cocaine

import "context"

// Storage is the typed client of the storage service: blobs by collection and
// key, found by tags.
type Storage struct{ service *Service }

// Storage gives the typed client of the service "storage".
func (c *Client) Storage() Storage { return Storage{c.Service("storage")} }

// Read returns a blob. If there is none, the error is ErrNotFound. A blob that is
// one msgpack value, as the records of the runtime are, is decoded by Raw(blob).Decode
// and made by Encode.
func (s Storage) Read(ctx context.Context, collection, key string) ([]byte, error) {
	return Get[bytesAnswer](ctx, s.service, "read", collection, key)
}

// Write keeps a blob under a key and adds tags to find it by. When it returns the
// blob is safe.
func (s Storage) Write(ctx context.Context, collection, key string, blob []byte, tags ...string) error {
	return Exec(ctx, s.service, "write", collection, key, blob, tags)
}

// Remove deletes a blob. One that is not there is no error.
func (s Storage) Remove(ctx context.Context, collection, key string) error {
	return Exec(ctx, s.service, "remove", collection, key)
}

// Find returns the keys, sorted, that carry all the tags. Of no tags it finds
// nothing.
func (s Storage) Find(ctx context.Context, collection string, tags ...string) ([]string, error) {
	return Get[namesAnswer](ctx, s.service, "find", collection, tags)
}
