package cocaine

// Stats are the counters of a Client, from its start on. As JSON they suit expvar.
type Stats struct {
	Connections int // that are open now, the one to the locator included
	UnderWay    int // calls that were sent and not answered yet, streams that are open included

	OK          uint64 // calls that are over: see OutcomeOK
	Errors      uint64 // OutcomeError
	Timeouts    uint64 // OutcomeTimeout
	Canceled    uint64 // OutcomeCanceled
	Unavailable uint64 // OutcomeUnavailable
	Invalid     uint64 // OutcomeInvalid

	Retries    uint64 // attempts of calls after the first
	LateFrames uint64 // messages that came for a call that was given up, and were dropped
}

// Stats reads the counters. It takes little and may be called at any time, after
// Close too. The counters are read one after the other: calls that end meanwhile may
// be in some and not in others.
func (c *Client) Stats() Stats {
	if !c.made() {
		return Stats{}
	}
	s := Stats{Connections: int(c.sessions.Sessions.Load()), LateFrames: c.sessions.LateFrames.Load()}
	for _, service := range c.connectors() {
		if l := service.current.Load(); l != nil {
			s.UnderWay += l.session.Channels()
		}
		s.Retries += service.retries.Load()
		for o := range service.ended {
			*s.of(Outcome(o)) += service.ended[o].Load()
		}
	}
	return s
}

// Calls is how many calls are over.
func (s Stats) Calls() uint64 {
	return s.OK + s.Errors + s.Timeouts + s.Canceled + s.Unavailable + s.Invalid
}

// of is the counter of an outcome.
func (s *Stats) of(o Outcome) *uint64 {
	switch o {
	case OutcomeOK:
		return &s.OK
	case OutcomeTimeout:
		return &s.Timeouts
	case OutcomeCanceled:
		return &s.Canceled
	case OutcomeUnavailable:
		return &s.Unavailable
	case OutcomeInvalid:
		return &s.Invalid
	}
	return &s.Errors
}
