package auth

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cocaine/cocaine-go/internal/hpack"
)

// An Identity is who calls.
type Identity struct {
	CIDs []uint32 // of clients: programs
	UIDs []uint64 // of users
}

// Anonymous reports whether nothing is known of the caller.
func (i Identity) Anonymous() bool { return len(i.CIDs) == 0 && len(i.UIDs) == 0 }

// String is for logs: "cids [1] uids [7 8]", or "anonymous".
func (i Identity) String() string {
	if i.Anonymous() {
		return "anonymous"
	}
	return fmt.Sprintf("cids %v uids %v", i.CIDs, i.UIDs)
}

// An Authenticator finds out who calls.
type Authenticator interface {
	// Identify reads the headers of a call. Its error refuses the call, whatever it
	// is for. It must not block.
	Identify(headers []hpack.Header) (Identity, error)
}

// Promiscuous believes every caller: the header "authorization" is a list of user
// ids, decimal and separated by commas. Who sends none, or anything else, is
// anonymous.
type Promiscuous struct{}

// maxIDs bounds the ids that a caller may claim to have.
const maxIDs = 1 << 10

// Identify implements Authenticator. It refuses nobody.
func (Promiscuous) Identify(headers []hpack.Header) (Identity, error) {
	value, _ := hpack.Lookup(headers, hpack.Authorization)
	return Identity{UIDs: parseUIDs(value)}, nil
}

// parseUIDs reads "1,2,3"; of anything else it makes nothing.
func parseUIDs(s string) []uint64 {
	if strings.Count(s, ",") >= maxIDs {
		return nil
	}
	var uids []uint64
	for part := range strings.SplitSeq(s, ",") {
		uid, err := strconv.ParseUint(part, 10, 64)
		if err != nil {
			return nil
		}
		uids = append(uids, uid)
	}
	return uids
}
