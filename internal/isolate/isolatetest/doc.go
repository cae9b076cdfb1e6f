// Package isolatetest holds every isolate to the contract of package isolate,
// with real processes: the test binary executes itself as the worker.
//
//	func TestMain(m *testing.M) {
//		isolatetest.Main() // returns unless this process is a worker of a test
//		goleak.VerifyTestMain(m)
//	}
//
//	func TestProcess(t *testing.T) {
//		isolatetest.Run(t, func(t *testing.T) isolate.Isolate { ... })
//	}
//
// Workers that a test wants to see alive and dead hold a [Lifeline], a connection
// to the test; its end is the end of the process, whoever is its parent. When
// the test ends, the lifeline breaks and they exit, so that none is left over.
package isolatetest
