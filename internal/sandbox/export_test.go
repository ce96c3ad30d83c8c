package sandbox

// BuildOf judges a build by its settings.
var BuildOf = buildOf

// CoreState judges a core by what is seen of its threads.
var CoreState = coreState

// IDMapped looks for a user and group in the maps of a namespace.
var IDMapped = idMapped
