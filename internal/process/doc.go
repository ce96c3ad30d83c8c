// Package process starts, ends and reaps the children of this program, and the
// sockets between them and the core. The signer and the tagger (package keyholder)
// and the prover (package prover) are such children.
//
// Two starters make the same [Child]. [Direct] starts it from this process. A
// [Launcher] is a process apart that does so in its place with a Direct of its own, so
// that the core, which reads what clients send, has no power over its children.
// Both are in one package because both start programs, pass descriptors and reap in
// the same way. What a child is and says belongs to the packages of the children.
//
// A child is the running executable again, with an empty environment, /dev/null as
// its standard streams, the root as its directory and one socket as descriptor 3. A
// notifier has a file as descriptor 4 (package notify).
// Its program calls [Begin] first. It then gives up what it does not need (package
// sandbox) before it holds a secret. It ends with its socket.
//
// # Launcher
//
// The launcher is started before the core gives up its privileges ([Launch]), with
// the argument "internal-launcher" and one argument for each kind of child: the kind
// and the child's arguments, separated by commas. A kind that ends in "+" has a file,
// which the launcher was given behind its socket. Its socket is of type
// SOCK_SEQPACKET. Before it reads the first request it gives up what it does not
// need ([sandbox.EnterLauncher]). It starts only its own executable, with the
// arguments that it was started with. It ends, with every child, when the socket
// ends, the core's process ends or a request is malformed.
//
// # Frames
//
// One packet is one frame; integers are big-endian. The core sends
//
//	u8 op | u8 kind | u32 id
//
// op 1 starts a child of a kind, which is an index into the launcher's
// arguments; ids grow. op 2 kills the child of an id (kind is 0). The launcher
// sends
//
//	u8 op | u32 id | i32 value | text of 0 to 200 printable ASCII characters
//
//	op 1  ready: value is PR_GET_DUMPABLE of a child at its first instruction
//	op 2  started: value is the process id; the packet carries one descriptor,
//	      the core's end of the child's socket (SOCK_STREAM)
//	op 3  not started: text is the reason
//	op 4  ended: value is the exit status or -1, text says the same in words
//
// Ready comes once, first. A start is answered by started or not started, and
// started later by ended. Exit statuses of the launcher: 0 the socket ended, 2
// it could not start or panicked, 3 a malformed request.
//
// # Closed from the first instruction
//
// A process with the same user as the core can be opened by it (ptrace,
// /proc/PID/mem) unless it is not dumpable. A program makes itself so by prctl,
// and could be opened before that. A core that is not root therefore starts the
// launcher from a sealed copy of its executable in memory, of mode 0111: the
// kernel never makes a process dumpable whose executable its user may not read.
// The launcher's children are started from the same copy.
package process
