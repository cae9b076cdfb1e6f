package worker

// Brevity is what a handler takes at most that is taken to be brief.
const Brevity = brevity

// Trust has the handlers of an event be taken for brief, whatever they have taken.
func Trust(w *Worker, event string) { w.mux.events[event].pace.score.Store(lowest) }
