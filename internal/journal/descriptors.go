package journal

// Descriptors bounds the files that an open journal holds open at once: the
// lock, three for each connection to the database (the writer's and the
// readers'), and as many again for the check and the copy of a database.
const Descriptors = 2 * (1 + 3*(1+readers))
