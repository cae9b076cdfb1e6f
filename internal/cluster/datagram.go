package cluster

import (
	"fmt"
	"net/netip"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// maxDatagram is the size of the largest datagram there can be.
const maxDatagram = 64 << 10

// encodeDatagram makes what a node tells the group: [uuid, [[address, port]...]], the
// endpoints being those of its locator.
func encodeDatagram(uuid string, endpoints []netip.AddrPort) []byte {
	b := msgpack.AppendString(msgpack.AppendArray(nil, 2), uuid)
	return idl.AppendEndpoints(b, endpoints)
}

// decodeDatagram reads what a node tells. What may stand behind is not looked at.
func decodeDatagram(b []byte) (uuid string, endpoints []netip.AddrPort, err error) {
	r := msgpack.NewReader(b)
	if n := r.Array(); n < 2 && r.Err() == nil {
		return "", nil, fmt.Errorf("%d values, want uuid and endpoints", n)
	}
	id := r.Bytes()
	if endpoints, err = idl.ReadEndpoints(&r, maxEndpoints); err != nil {
		return "", nil, err
	}
	if len(id) == 0 || len(id) > maxName {
		return "", nil, fmt.Errorf("a uuid of %d bytes, want 1 to %d", len(id), maxName)
	}
	return string(id), endpoints, nil
}
