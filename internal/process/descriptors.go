package process

// Descriptors bounds the descriptors that a core holds for its launcher and its
// children: their sockets, and those needed while one is started.
const Descriptors = 32
