package v011

import "github.com/cocaine/cocaine-go/internal/idl"

// The protocols of the v0.11 core, as its clients know them.
var (
	oldLocator = &idl.Protocol{Name: "locator", Version: 1, Messages: []idl.Message{
		{ID: 0, Name: "resolve", Args: args("name"), Next: idl.Terminal, Reply: oneValue()},
		{ID: 1, Name: "synchronize", Next: idl.Terminal, Reply: manyValues()},
		{ID: 2, Name: "reports", Next: idl.Terminal, Reply: oneValue()},
		{ID: 3, Name: "refresh", Args: args("group"), Next: idl.Terminal, Reply: oneValue()},
	}}
	oldStorage = &idl.Protocol{Name: "storage", Version: 1, Messages: []idl.Message{
		{ID: 0, Name: "read", Args: args("collection", "key"), Next: idl.Terminal, Reply: oneValue()},
		{ID: 1, Name: "write", Args: args("collection", "key", "blob"), Next: idl.Terminal, Reply: oneValue()},
		{ID: 2, Name: "remove", Args: args("collection", "key"), Next: idl.Terminal, Reply: oneValue()},
		{ID: 3, Name: "find", Args: args("collection", "tags"), Next: idl.Terminal, Reply: oneValue()},
	}}
	oldNode = &idl.Protocol{Name: "node", Version: 1, Messages: []idl.Message{
		{ID: 0, Name: "start_app", Args: args("runlist"), Next: idl.Terminal, Reply: oneValue()},
		{ID: 1, Name: "pause_app", Args: args("apps"), Next: idl.Terminal, Reply: oneValue()},
		{ID: 2, Name: "list", Next: idl.Terminal, Reply: oneValue()},
	}}
	oldLogging = &idl.Protocol{Name: "logging", Version: 1, Messages: []idl.Message{
		{ID: 0, Name: "emit", Args: args("level", "source", "text"), Next: idl.Terminal, Reply: oneValue()},
		{ID: 1, Name: "verbosity", Next: idl.Terminal, Reply: oneValue()},
	}}
	oldApp = &idl.Protocol{Name: "app", Version: 1, Messages: []idl.Message{
		{ID: 0, Name: "enqueue", Args: args("event", "blob"), Next: idl.Terminal, Reply: manyValues()},
		{ID: 1, Name: "info", Next: idl.Terminal, Reply: oneValue()},
	}}
)

// args are required arguments. Optional ones, and what is surplus, are the methods'
// own matter.
func args(names ...string) []idl.Arg {
	list := make([]idl.Arg, len(names))
	for i, name := range names {
		list[i].Name = name
	}
	return list
}

func oneValue() idl.Reply {
	return idl.Reply{Kind: idl.ReplyValue, Node: &idl.Node{Messages: []idl.Message{
		{ID: idl.Value, Name: "value", Next: idl.Terminal},
		{ID: idl.Error, Name: "error", Next: idl.Terminal},
	}}}
}

func manyValues() idl.Reply {
	return idl.Reply{Kind: idl.ReplyStream, Node: &idl.Node{Messages: []idl.Message{
		{ID: idl.Write, Name: "write"},
		{ID: idl.StreamError, Name: "error", Next: idl.Terminal},
		{ID: idl.Close, Name: "close", Next: idl.Terminal},
	}}}
}
