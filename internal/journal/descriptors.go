package journal

// Descriptors bounds the files that an open journal holds open at the same
// time: the lock, three for each connection to the database, and as many again
// for the check and the copy of a database. The connections are the writer's,
// the readers', and the one that is closed last.
const Descriptors = 2 * (2 + 3*(2+readers))
