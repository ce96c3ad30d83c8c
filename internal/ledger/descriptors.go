package ledger

// Descriptors bounds the files that an open log holds open at once for itself:
// its lock, its directory, and what it writes. A reader of the log's files needs
// one more for as long as its call lasts.
const Descriptors = 16
