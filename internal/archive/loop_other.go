//go:build !unix

package archive

import "errors"

// isLoop cannot tell here: any link that does not resolve is refused.
func isLoop(err error) bool { return errors.Is(err, errors.ErrUnsupported) }
