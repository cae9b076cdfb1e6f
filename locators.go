package cocaine

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// LocatorVariable is the environment variable that says where the locators are
// when Options does not.
const LocatorVariable = "COCAINE_LOCATOR"

// DefaultLocator is where a runtime's locator listens unless told otherwise.
const DefaultLocator = "127.0.0.1:10053"

const (
	defaultLocatorPort = "10053"
	unixPrefix         = "unix:" // before the path of a Unix socket
)

// ParseLocators reads a comma-separated list of locators, host:port or unix:PATH
// each. A missing port is 10053. An IPv6 address with a port stands in brackets.
// It is the form of COCAINE_LOCATOR and of a worker's --locator. Anything else is
// ErrBadArgument.
func ParseLocators(list string) ([]string, error) {
	var out []string
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		addr, err := parseLocator(part)
		if err != nil {
			return nil, fmt.Errorf("cannot use locator %q: %w", part, &kindError{err, ErrBadArgument})
		}
		out = append(out, addr)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("cannot use locator %q: %w", list, &kindError{errors.New("no address"), ErrBadArgument})
	}
	return out, nil
}

func parseLocator(s string) (string, error) {
	if path, ok := strings.CutPrefix(s, unixPrefix); ok {
		if path == "" {
			return "", errors.New("no path")
		}
		return s, nil
	}
	bare := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		bare = s[1 : len(s)-1]
	}
	if ip := net.ParseIP(bare); ip != nil { // an IPv6 address without a port is full of colons
		return net.JoinHostPort(ip.String(), defaultLocatorPort), nil
	}
	if !strings.Contains(s, ":") {
		return net.JoinHostPort(s, defaultLocatorPort), nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", err
	}
	if host == "" {
		return "", fmt.Errorf("no host")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("port %q is not a number from 1 to 65535", port)
	}
	return net.JoinHostPort(host, port), nil
}

// locators gives the list to use: the option, the environment, the default.
func (o *Options) locators() ([]string, error) {
	if len(o.Locators) > 0 {
		return ParseLocators(strings.Join(o.Locators, ","))
	}
	if env := os.Getenv(LocatorVariable); env != "" {
		return ParseLocators(env)
	}
	return []string{DefaultLocator}, nil
}
