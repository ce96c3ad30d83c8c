package field

// InvertAll is invertAll.
var InvertAll = invertAll
