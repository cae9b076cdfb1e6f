package idl

import (
	"fmt"
	"math"
	"net/netip"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// AppendEndpoints appends a list of endpoints, [[address, port]...]. Addresses are
// numeric text.
func AppendEndpoints(b []byte, endpoints []netip.AddrPort) []byte {
	b = msgpack.AppendArray(b, len(endpoints))
	for _, ep := range endpoints {
		b = AppendEndpoint(b, ep)
	}
	return b
}

// AppendEndpoint appends [address, port].
func AppendEndpoint(b []byte, ep netip.AddrPort) []byte {
	b = msgpack.AppendArray(b, 2)
	b = msgpack.AppendString(b, ep.Addr().String())
	return msgpack.AppendUint(b, uint64(ep.Port()))
}

// ReadEndpoints reads a list of endpoints, which may be empty. One of more than most,
// or with an address that is a name, is refused.
func ReadEndpoints(r *msgpack.Reader, most int) ([]netip.AddrPort, error) {
	n := r.Array()
	if n > most {
		return nil, fmt.Errorf("%d endpoints, the limit is %d", n, most)
	}
	eps := make([]netip.AddrPort, 0, n)
	for range n {
		ep, err := readEndpoint(r)
		if err != nil {
			return nil, err
		}
		eps = append(eps, ep)
	}
	return eps, r.Err()
}

func readEndpoint(r *msgpack.Reader) (netip.AddrPort, error) {
	if n := r.Array(); n != 2 && r.Err() == nil {
		return netip.AddrPort{}, fmt.Errorf("endpoint of %d elements, want address and port", n)
	}
	text, port := r.Bytes(), r.Uint()
	if err := r.Err(); err != nil {
		return netip.AddrPort{}, err
	}
	addr, err := netip.ParseAddr(string(text))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%.64q is no numeric address", text)
	}
	if port > math.MaxUint16 {
		return netip.AddrPort{}, fmt.Errorf("%d is no port", port)
	}
	return netip.AddrPortFrom(addr, uint16(port)), nil
}
