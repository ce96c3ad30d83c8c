package main

// Run is the whole program, for tests that are another process.
var Run = run
