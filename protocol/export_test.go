package protocol

// CanonicalForm is RFC 8785 without the additional rules of section 4.
var CanonicalForm = canonicalForm

// ExactNumber is the number rule alone.
var ExactNumber = exactNumber

// ReduceUniform is the last step of H2F.
var ReduceUniform = reduceUniform
