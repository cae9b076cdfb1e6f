package arch

import (
	"go/doc"
	"go/token"
	"testing"
)

// shown are the features of the framework and the examples that show them.
var shown = map[string][]string{
	"one value":              {"ExampleGet", "ExampleService_list"},
	"no value":               {"ExampleExec"},
	"many values":            {"ExampleChunks"},
	"a conversation":         {"ExampleApp_Enqueue", "ExampleAppStream_Peek", "ExampleAppStream_Decode", "ExampleAppStream_Fail"},
	"an event of an app":     {"ExampleInvoke", "ExampleInvokeStream", "ExampleApp", "ExampleApp_With"},
	"many short calls":       {"ExampleInvokeEach"},
	"what there is":          {"ExampleService_Methods", "ExampleService_Connect", "ExampleService_Ping", "ExampleNode"},
	"who calls":              {"ExampleTokenSource"},
	"what calls do":          {"ExampleObserver", "ExampleLogCalls", "ExampleClient_Stats", "worker.ExampleObserve", "worker.ExampleLogRequests"},
	"logs of other handlers": {"ExampleNewContextHandler"},
	"options":                {"ExampleNew", "ExampleOptions_tls", "ExampleParseLocators"},
	"errors":                 {"ExampleError", "ExampleCallError"},
	"retries":                {"ExampleRetryPolicy"},
	"tracing":                {"ExampleParseTraceparent"},
	"typed clients":          {"ExampleNode_Control", "ExampleStorage", "ExampleLogging", "ExampleLocator_Publish", "ExampleLocator_Routing"},
	"coordination":           {"ExampleUnicorn_Subscribe", "ExampleUnicorn_Put", "ExampleUnicorn_Lock"},
	"logging":                {"ExampleNewLogHandler", "ExampleLogHandler", "worker.ExampleOptions_logger"},
	"futures":                {"ExampleGo", "ExampleFuture_Wait", "ExampleFuture_Done", "ExampleFuture_Cancel", "ExampleReady", "ExampleFailed", "ExampleThen"},
	"lost errors and panics": {"ExampleWithLogger", "ExamplePanicError"},
	"several at once":        {"ExampleGather", "ExampleGather2", "ExampleGather3", "ExampleFirst", "ExampleAsCompleted", "ExampleGo_limit"},
	"sequences":              {"ExampleMap", "ExampleMapResult", "ExampleMapParallel", "ExampleFilter", "ExampleCollect", "ExampleValues"},
	"pipes":                  {"ExamplePipe", "ExampleSender_Send", "ExampleSender_Fail", "ExampleReceiver_Recv", "ExampleReceiver_Peek", "ExampleReceiver_All"},
	"channels and commands":  {"ExampleChan", "ExampleFromChan", "ExampleLineWriter"},
	"handlers":               {"worker.ExampleHandle", "worker.ExampleWorker_HandleStream", "worker.ExampleWorker_HandleRaw"},
	"events by name":         {"worker.ExampleWorker_HandleDefault"},
	"streams of a handler":   {"worker.ExampleStream_Reader", "worker.ExampleStream_Writer", "worker.ExampleStream_Encode"},
	"middleware":             {"worker.ExampleWorker_Use", "worker.ExampleWith", "worker.ExampleRecover"},
	"limits":                 {"worker.ExampleLimit", "worker.ExampleTimeout"},
	"life of a worker":       {"worker.ExampleWorker_OnStart", "worker.ExampleWorker_Client"},
	"HTTP and file events":   {"worker.ExampleHTTP", "worker.ExampleFileEvent"},
	"a runtime in memory":    {"cocainetest.ExampleNewRuntime", "cocainetest.ExampleRuntime_Service", "cocainetest.ExampleItems"},
	"faults and frames":      {"cocainetest.ExampleService_Down", "cocainetest.ExampleService_SetFaults", "cocainetest.ExampleWorker_Kill", "cocainetest.ExampleRuntime_Dump"},
}

// TestExamples: every feature has an example, and every example is run and its
// output compared.
func TestExamples(t *testing.T) {
	there := map[string]bool{}
	for name, dir := range public {
		prefix := name + "."
		if name == "cocaine" {
			prefix = ""
		}
		for _, e := range doc.Examples(goFiles(t, token.NewFileSet(), dir, isTest)...) {
			there[prefix+"Example"+e.Name] = true
			if e.Output == "" && !e.EmptyOutput {
				t.Errorf("%sExample%s has no output and is not run", prefix, e.Name)
			}
		}
	}
	for feature, examples := range shown {
		for _, e := range examples {
			if !there[e] {
				t.Errorf("%s: there is no %s", feature, e)
			}
		}
	}
}
