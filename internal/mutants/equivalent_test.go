package mutants_test

// equivalent is a guard that no test can notice, because something else holds without it.
type equivalent struct {
	file, function, text string
	reason               string
}

func (e equivalent) is(g guard) bool {
	return e.file == g.file && e.function == g.function && e.text == g.text
}

// noStage is why the stage alone stops an event: TestStepArrows shows that a request has
// a stage if it is CLAIMED, and none otherwise.
const noStage = "only a CLAIMED request has a stage, so the operand about the stage holds"

var equivalents = []equivalent{
	{"internal/lifecycle/request.go", "stepRedeemed", "s.Phase != PhaseClaimed in s.Phase != PhaseClaimed || s.Stage != StageRedeem", noStage},
	{"internal/lifecycle/request.go", "stepVerified", "s.Phase != PhaseClaimed in s.Phase != PhaseClaimed || s.Stage != StageVerify", noStage},
	{"internal/lifecycle/request.go", "stepCommitted", "s.Phase != PhaseClaimed in s.Phase != PhaseClaimed || (s.Stage != StageCommit && s.Stage != StageUnknown)", noStage},
	{"internal/lifecycle/request.go", "stepAborted", "s.Phase != PhaseClaimed in s.Phase != PhaseClaimed || (s.Stage != StageRedeem && s.Stage != StageVerify)", noStage},
}
