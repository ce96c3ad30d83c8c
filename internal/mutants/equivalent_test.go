package mutants_test

// equivalent is a guard that no test can notice, because something else holds without it.
type equivalent struct {
	file, function, text string
	reason               string
}

func (e equivalent) is(g guard) bool {
	return e.file == g.file && e.function == g.function && e.text == g.text
}

var equivalents = []equivalent{}
