package sandbox

// CoreConfig says what the core, which starts the children, goes on needing.
type CoreConfig struct {
	// Writable are directories it reads and writes all below, and Readable files
	// and directories it reads; those that do not exist are left out.
	Writable, Readable []string
}
