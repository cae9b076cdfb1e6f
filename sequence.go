package cocaine

import "iter"

// A sequence is an iter.Seq2 of values and errors: the answers of a call (Chunks),
// a Receiver, a channel (FromChan), known values (Values). Each pair is an item,
// a value or an error, and an error is no end: what follows it still comes. The
// functions below make new sequences of old ones and may be put one on top of the
// other. Leaving the loop over the last leaves the loops over all below it. One that is
// made of a nil sequence, function or context has one item, an ErrBadArgument.

// Values is the sequence of the given values.
func Values[T any](vs ...T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range vs {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// Map gives what f makes of each value. An error in place of a value passes by f;
// an error of f takes the place of its value. Either way the next items still come.
func Map[T, U any](seq iter.Seq2[T, error], f func(T) (U, error)) iter.Seq2[U, error] {
	if f == nil {
		return refuse[U](errNoFunction)
	}
	return MapResult(seq, func(v T, err error) (U, error) {
		if err != nil {
			var zero U
			return zero, err
		}
		return f(v)
	})
}

// MapResult gives what f makes of each item, be it a value or an error. With it an
// error may be turned into a value.
func MapResult[T, U any](seq iter.Seq2[T, error], f func(T, error) (U, error)) iter.Seq2[U, error] {
	switch {
	case seq == nil:
		return refuse[U](errNoSequence)
	case f == nil:
		return refuse[U](errNoFunction)
	}
	return func(yield func(U, error) bool) {
		for v, err := range seq {
			if !yield(f(v, err)) {
				return
			}
		}
	}
}

// Filter leaves out the values that are not wanted. Errors stay.
func Filter[T any](seq iter.Seq2[T, error], want func(T) bool) iter.Seq2[T, error] {
	switch {
	case seq == nil:
		return refuse[T](errNoSequence)
	case want == nil:
		return refuse[T](errNoFunction)
	}
	return func(yield func(T, error) bool) {
		for v, err := range seq {
			if err == nil && !want(v) {
				continue
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// Collect gathers the values of a sequence. At the first error it stops, and
// returns the values that came before with it. An empty sequence gives no values
// and no error.
func Collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	if seq == nil {
		return nil, errNoSequence
	}
	var vs []T
	for v, err := range seq {
		if err != nil {
			return vs, err
		}
		vs = append(vs, v)
	}
	return vs, nil
}
