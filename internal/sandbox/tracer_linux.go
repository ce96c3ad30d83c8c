package sandbox

import (
	"io/fs"
	"maps"
)

// traced looks for a tracer of any thread. A process that is not dumpable gets
// none that it does not have, but for one of root; and a new thread has one only
// if the thread that made it has. So it is enough that the threads are the same
// before and after all of them were looked at. fsys is the directory of the
// process in /proc.
func traced(fsys fs.FS) (Probe, error) {
	for range maxLooks {
		before, err := tracers(fsys)
		if err != nil {
			return Measure(Tracer, StateUnknown, "cannot be read: "+reason(err)), nil
		}
		for _, tracer := range before {
			if tracer != "0" {
				return Probe{}, ErrTraced
			}
		}
		if after, err := tracers(fsys); err == nil && maps.Equal(before, after) {
			return Measure(Tracer, StateOK, "none, of any thread"), nil
		}
	}
	return Measure(Tracer, StateUnknown, "threads come and go"), nil
}

// maxLooks bounds how often the threads are looked at.
const maxLooks = 16

// tracers returns the tracer of each thread, by the thread's id.
func tracers(fsys fs.FS) (map[string]string, error) {
	entries, err := fs.ReadDir(fsys, "task")
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, e := range entries {
		status, err := readStatus(fsys, "task/"+e.Name()+"/status")
		switch {
		case isNotExist(err): // it ended meanwhile
		case err != nil:
			return nil, err
		default:
			all[e.Name()] = status["TracerPid"]
		}
	}
	return all, nil
}
