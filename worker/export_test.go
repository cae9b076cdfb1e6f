package worker

// Trust has the handlers of an event be taken for brief, whatever they have taken.
func Trust(w *Worker, event string) { w.mux.events[event].pace.score.Store(lowest) }
