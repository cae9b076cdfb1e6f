package rpc

// SendAll sends several frames of one channel as one piece: nothing comes between
// them and they leave with one flush. Like Send with a nil batch it never blocks.
func (s *Session) SendAll(channel uint64, frames ...Outgoing) error {
	if _, err := s.Queue(channel, frames...); err != nil {
		return err
	}
	s.flush()
	return nil
}

// Leave is Close for a channel that this side ends with a message of its own, as
// the subscriptions of unicorn and the locator are: the message is sent if it is
// allowed now. It never blocks.
func (st *Stream) Leave(typ uint64) error {
	err := st.sendNow(nil, typ, nil, st.echo)
	_ = st.Close() // nothing is left to send
	return err
}

// Queue is SendAll without the write: who calls it sees to it that Flush follows
// soon. It returns the number of bytes that wait.
func (s *Session) Queue(channel uint64, frames ...Outgoing) (waiting int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	for i := range frames {
		s.emit(channel, frames[i].Type, frames[i].Args, nil)
	}
	return s.out.size, nil
}

// Flush writes what was queued. It never blocks.
func (s *Session) Flush() { s.flush() }
