// Package sandbox takes from a process what it does not need, shows that it is
// gone, and grades what is left.
//
// A child calls [Enter] once, when it has the memory for its keys and before it
// draws them. On Linux that is, in this order:
//
//	1  the runtime is settled: fixed GOMAXPROCS, poller open, no tracebacks; then
//	   all descriptors but 0 to 3 and the poller's two are closed; a notifier keeps 4
//	2  RLIMIT_CORE and RLIMIT_FSIZE 0; of a notifier the size of its file
//	3  no_new_privs on every thread
//	4  groups, gid and uid given up, if the process is root
//	5  not dumpable; then a look at every thread, and the end if one is traced;
//	   death signal, and a look whether the parent still lives (a change of uid
//	   resets the first and the third)
//	6  no transparent huge pages
//	7  Landlock at the version of the kernel: no file, no port, no signal to
//	   and no abstract socket of others; then RLIMIT_NOFILE. A notifier may connect
//	8  a seccomp allow list on every thread; what is not on it kills the process
//	9  the self-test: open, socket, exec, ptrace, reading another process, clones
//	   that are no thread of the runtime, clone3 and madvise are tried, and have
//	   to fail with EPERM (clone3 with ENOSYS), exec on every thread
//
// Each step returns a [Probe]; the probes of a child are its [Posture], which has
// a [Grade] and travels as text. A step that fails is a probe that is not ok; it
// does not stop the next one. What the grade makes of it is [Posture.Grade], and
// the server decides by that whether it runs at all: nothing degrades silently.
//
// What is not built for this system (anything but Linux, and builds with cgo,
// where Go cannot make a system call on every thread) is missing in the posture,
// never an error.
//
// # Filter
//
// An argument of a call on the list is compared exactly, and as the kernel takes
// it: all bits of a long, the lower half of an int. What may be:
//
//	futex    FUTEX_WAIT and FUTEX_WAKE, private
//	mmap     anonymous memory to read and write, or reserved
//	madvise  DONTNEED, FREE, HUGEPAGE, NOHUGEPAGE and COLLAPSE; else EPERM
//	clone    the flags of a thread of the runtime; else EPERM
//	tgkill   to the process itself
//	prctl    naming memory
//	fcntl    F_DUPFD_CLOEXEC, F_GETFL and F_SETFL; not of a keyholder
//	socket   TCP and UDP of IPv4 and IPv6; of a notifier only; else EPERM
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
