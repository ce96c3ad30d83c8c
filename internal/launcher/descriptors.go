package launcher

// Descriptors bounds the descriptors that a core holds for its launcher and for
// the children it may have at a time: the sockets, and what starting one takes
// meanwhile.
const Descriptors = 32
