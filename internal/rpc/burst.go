package rpc

// SendAll sends several frames of one channel as one piece: nothing comes between
// them and they leave with one flush. Like Send with a nil batch it never blocks.
func (s *Session) SendAll(channel uint64, frames ...Outgoing) error {
	s.mu.Lock()
	if s.err != nil {
		err := s.err
		s.mu.Unlock()
		return err
	}
	for i := range frames {
		s.out.append(nil, channel, frames[i].Type, frames[i].Args, nil)
	}
	s.mu.Unlock()
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
