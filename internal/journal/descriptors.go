package journal

// Descriptors bounds the files that an open journal holds open at once: the
// lock, three for each connection to the database (the writer's, the one that is
// never used but to close in order, and the
// readers'), and as many again for the check and the copy of a database.
const Descriptors = 2 * (2 + 3*(2+readers))
