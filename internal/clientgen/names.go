package clientgen

import (
	"fmt"
	"go/token"
	"go/types"
	"strings"
	"unicode"
)

// packageName makes the name of a package: logging::v2, loggingv2.
func packageName(service string) string {
	name := strings.ToLower(strings.Join(words(service), ""))
	switch {
	case name == "":
		return "service"
	case !unicode.IsLetter(rune(name[0])), token.IsKeyword(name), types.Universe.Lookup(name) != nil:
		return "service" + name
	}
	return name
}

// typeName makes the name of an exported type: my-app, MyApp.
func typeName(service string) string {
	name := camel(service)
	if name == "" || !unicode.IsLetter(rune(name[0])) {
		return "Service" + name
	}
	return name
}

// words are the parts of a name of the wire that can be in one of Go: runs of
// letters and digits of ASCII.
func words(name string) []string {
	return strings.FieldsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	})
}

// camel makes an exported name: named_lock, NamedLock; uuid, UUID.
func camel(name string) string {
	var b strings.Builder
	for _, w := range words(name) {
		switch strings.ToLower(w) {
		case "acl", "api", "cpu", "html", "http", "id", "ip", "json", "ok", "rpc", "tcp", "tls", "ttl", "uid", "uri", "url", "uuid":
			b.WriteString(strings.ToUpper(w))
		default:
			b.WriteString(strings.ToUpper(w[:1]) + w[1:])
		}
	}
	return b.String()
}

// parameter makes the name of a parameter that hides nothing the file uses.
func parameter(name string) string {
	w := words(name)
	if len(w) == 0 {
		return "arg"
	}
	name = strings.ToLower(w[0]) + camel(strings.Join(w[1:], "_"))
	switch {
	case !unicode.IsLetter(rune(name[0])):
		return "arg" + name
	case token.IsKeyword(name), types.Universe.Lookup(name) != nil, strings.Contains(" c ctx args optional cocaine context iter ", " "+name+" "):
		return name + "_"
	}
	return name
}

// names gives out the names of methods, each once.
type names map[string]bool

// take makes an exported name. If it is taken already, the suffix makes it another;
// if that does not help, or nothing of the wire's name can be in one of Go, the id.
func (n names) take(wire, suffix string, id uint64) string {
	name := camel(wire)
	switch {
	case name == "":
		name = fmt.Sprintf("%s%d", suffix, id)
	case !unicode.IsLetter(rune(name[0])):
		name = suffix + name
	case n[name]:
		name += suffix
	}
	for base := name; n[name]; id++ {
		name = fmt.Sprintf("%s%d", base, id)
	}
	n[name] = true
	return name
}
