package cocaine

// Trailer gives the headers of the service's last message, nil before it has come.
func (s *Stream) Trailer() Headers {
	if !s.made() {
		return nil
	}
	return Headers(s.st.Trailer())
}
