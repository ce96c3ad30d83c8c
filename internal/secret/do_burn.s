//go:build !(goexperiment.runtimesecret && linux && (amd64 || arm64))

#include "textflag.h"

// func grow()
// The prologue, which asks for the frame, is all of it.
TEXT ·grow(SB), 0, $294912-0
	RET
