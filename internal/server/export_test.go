package server

// MaxBodies bounds the bytes of bodies on their way to one operation.
const MaxBodies = maxBodies
