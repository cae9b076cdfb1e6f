package cocaine

// Trailer gives the headers of the service's last message, nil before it has come.
func (s *Stream) Trailer() Headers { return Headers(s.st.Trailer()) }
