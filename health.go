package cocaine

import (
	"context"

	"github.com/cocaine/cocaine-go/internal/idl"
)

// Ping checks the health of a service: it is found, it can be connected to, and it
// answers on the connection within the time of ctx, which should have a deadline. No
// method of the service runs. Of a service that does not know the control message for
// it, as those of the original do not, the connection is all that is checked.
//
// Failures are those of any call.
func (s *Service) Ping(ctx context.Context) error {
	l, err := s.link(ctx)
	if err != nil {
		return s.failed(pingMethod, err)
	}
	if m := l.methods[pingMethod]; m == nil || m.id != idl.Ping { // or it is a method of that name
		return nil
	}
	return Exec(ctx, s, pingMethod)
}

const pingMethod = "ping"
