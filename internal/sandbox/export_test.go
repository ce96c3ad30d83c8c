package sandbox

// BuildOf judges a build by its settings.
var BuildOf = buildOf
