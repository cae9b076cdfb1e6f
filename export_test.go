package cocaine

// OpenChannels is how many channels of a service's connection are open, for tests.
func OpenChannels(s *Service) int {
	l := s.conn.current.Load()
	if l == nil {
		return 0
	}
	return l.session.Channels()
}
