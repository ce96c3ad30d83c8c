// Package sandbox takes from a process what it does not need, shows that it is
// gone, and grades what is left.
//
// A child calls [Enter] once, when it has its keys and before it reads its
// first request. On Linux that is, in this order:
//
//	1  the runtime is settled: fixed GOMAXPROCS, poller open, no tracebacks
//	2  RLIMIT_CORE and RLIMIT_FSIZE 0
//	3  no_new_privs on every thread
//	4  groups, gid and uid given up, if the process is root
//	5  not dumpable, death signal, and a look whether the parent still lives (a
//	   change of uid resets the first two)
//	6  no transparent huge pages
//	7  Landlock at the version of the kernel: no file, no port, no signal to
//	   and no abstract socket of others; then RLIMIT_NOFILE
//	8  a seccomp allow list on every thread; what is not on it kills the process
//	9  the self-test: open, socket, exec, ptrace and reading another process are
//	   tried, and have to fail with EPERM, exec on every thread
//
// Each step gives a [Probe]; the probes of a child are its [Posture], which has
// a [Grade] and travels as text. A step that fails is a probe that is not ok; it
// does not stop the next one. What the grade makes of it is [Posture.Grade], and
// the server decides by that whether it runs at all: nothing degrades silently.
//
// What is not built for this system (anything but Linux, and builds with cgo,
// where Go cannot make a system call on every thread) is missing in the posture,
// never an error.
//
// # Posture as text
//
// One line for each probe, in the order of the steps, at most 32 lines:
//
//	id SP state SP value LF
//
// id is 1 to 32 of a-z and _, state is ok, weak, missing or unknown, value is 1
// to 200 printable ASCII characters. Source, remedy and effect follow from the
// id.
package sandbox
