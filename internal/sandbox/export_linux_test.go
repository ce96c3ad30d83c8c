package sandbox

// LandlockVersion is the version of the kernel, for tests that need one.
var LandlockVersion = landlockVersion
