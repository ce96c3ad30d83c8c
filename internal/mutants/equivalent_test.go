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

// issuedSo is why the statement of a session can be rebuilt.
const issuedSo = "the gate has parsed payload and parameters and found the claim when it issued the request, and none of them changes"

var equivalents = []equivalent{
	{"internal/lifecycle/request.go", "stepRedeemed", "s.Phase != PhaseClaimed in s.Phase != PhaseClaimed || s.Stage != StageRedeem", noStage},
	{"internal/lifecycle/request.go", "stepVerified", "s.Phase != PhaseClaimed in s.Phase != PhaseClaimed || s.Stage != StageVerify", noStage},
	{"internal/lifecycle/request.go", "stepCommitted", "s.Phase != PhaseClaimed in s.Phase != PhaseClaimed || (s.Stage != StageCommit && s.Stage != StageUnknown)", noStage},
	{"internal/lifecycle/request.go", "stepAborted", "s.Phase != PhaseClaimed in s.Phase != PhaseClaimed || (s.Stage != StageRedeem && s.Stage != StageVerify)", noStage},

	{"receipt/logtext.go", "parseNumber", "err != nil in err != nil || n < 0 || strconv.FormatInt(n, 10) != s", "what does not parse becomes a number with another text, so the comparison of the texts holds"},
	{"receipt/logtext.go", "ParseCheckpoint", "err != nil of epochVerifier(tree.Origin, key)", "parseNote has refused an origin that is no key name, and any 32 bytes are a key of Ed25519 here"},
	{"receipt/logtext.go", "epochVerifier", "err != nil of note.NewEd25519VerifierKey(origin, key[:])", "the library refuses a key of another length only, and the key has 32 bytes"},
	{"receipt/logtext.go", "epochVerifier", "err != nil of note.NewVerifier(vkey)", "parseNote has refused an origin that is no key name"},
	{"receipt/logtext.go", "VerifyCheckpoint", "err != nil of protocol.ParseLeaf(epochLeaf)", "a leaf that does not parse has no body, so the check of its type holds"},
	{"receipt/logtext.go", "parseNote", "i < 0", "without a blank line the text of the checkpoint is empty, which the library refuses"},
	{"receipt/logtext.go", "parseNote", `err != nil in err != nil || c.Extension != "" || c.String() != signed[:i+1]`, "what the library refuses leaves the zero checkpoint, whose text differs"},
	{"receipt/logtext.go", "checkSignLines", `!ok in !dash || !ok || err != nil || len(sig) <= keyIDSize || strings.Contains(b64, "\r")`, "a line without a space has no signature, so the check of its length holds"},
	{"receipt/opening.go", "ParseOpening", "err != nil of protocol.DecodeStrict(b, protocol.JSONLimits{Size: MaxOpeningSize}, &w)", "what is not decoded leaves no version, so the check of the version holds"},
	{"receipt/policy.go", "newKey", "err != nil in err != nil || len(key) < 2", "the verifier of the library refuses a key that is not base64"},
	{"receipt/steps.go", "leaf", "err != nil of protocol.ParsePayload(v.body.Payload[:])", "the parser of the leaf has parsed its payload"},
	{"receipt/steps.go", "statement", "err != nil of claim.NewStatement(params, v.payload.Commitment)", "the parser of the payload has refused a commitment that is no field element"},
	{"receipt/steps.go", "knownKey", "!ok of claim.KnownKey(params.Claim())", "a claim that this build knows has an embedded key, or is about a list"},
	{"receipt/steps.go", "inclusion", "err != nil of parseNote(v.accepted.log.note)", "the step leaf has parsed the same text"},
	{"receipt/steps.go", "issued", "err != nil of parseNote(v.accepted.log.note)", "the step leaf has parsed the same text"},
	{"receipt/steps.go", "signature", "err != nil of epochVerifier(c.Origin, signer.CheckpointKey)", "ParseCheckpoint has made the same verifier"},
	{"receipt/steps.go", "signature", "err != nil of torchwood.VerifyProof(signedBy(key), tlog.RecordHash(p.Leaf), []byte(p.Log))", "a second verifier of the same text: parseEntry, the step inclusion and ParseCheckpoint have verified it before"},
	{"receipt/trust.go", "update", "err != nil of t.look(c, from)", "commit looks again before it writes, and returns the error"},
	{"receipt/trust.go", "checkBeside", "err != nil of t.look(other, from)", "recorded has looked at the same file just before"},
	{"receipt/trust.go", "checkBeside", "err != nil of t.look(c, Source{})", "recorded has looked at the same file just before"},
	{"receipt/trustrules.go", "previousEpoch", "signed.Size > index in open.PreviousIndex >= index || signed.Size > index", "a leaf cannot hold the root of a tree that it is in itself, so the comparison with the root holds"},
	{"receipt/trustrules.go", "previousEpoch", "err != nil of protocol.ParseLeaf(raw)", "a leaf that does not parse has no body, so the check of its type holds"},
	{"receipt/logtext.go", "parseLogText", `!ok of strings.Cut(rest, "\n\n")`, "without a blank line the checkpoint is empty, which parseNote refuses"},

	{"internal/gate/effects.go", "redeem", "err != nil of g.statementOf(open)", issuedSo},
	{"internal/gate/effects.go", "statementOf", "err != nil of protocol.ParsePayload(open.Payload[:])", issuedSo},
	{"internal/gate/effects.go", "statementOf", "err != nil of claim.ParseParams(claim.ID(open.Claim), open.Params)", issuedSo},
	{"internal/gate/effects.go", "statementOf", "err != nil of g.claimOf(params)", issuedSo},
	{"internal/gate/effects.go", "commit", "!live of g.find(open.Epoch)", "askPlace has looked for the epoch just before, and the transaction of the journal reads it again"},

	{"internal/journal/accept.go", "Accept", "err != nil of protocol.ParsePayload(a.Leaf.Payload[:])", "checkBody has parsed the same payload"},
	{"internal/journal/accept.go", "accept", "err != nil of g.leaf(now, &a.Leaf)", "a leaf is refused after the seal, which mayAccept refuses, or without an encoding, which checkBody refuses"},
	{"internal/journal/audit.go", "act", "g.err != nil", "nothing is written after a failure of the database, and the transaction fails with it"},
	{"internal/journal/control.go", "controlAll", "err != nil of g.act(now, r, newSalt(), Done, func(g *group, salt protocol.Salt) (Entry, error) { return g.control(now, r, r.commit(salt, c)) })", "mayControlAll has asked for each action in the same transaction"},
	{"internal/journal/control.go", "control", "err != nil of g.leaf(now, &c)", "a leaf is refused after the seal, which mayControl refuses, or without an encoding, which checkActions refuses"},
	{"internal/journal/group.go", "begin", "j.foreign", "resume refuses a journal in which a foreign change was found before the writer begins again"},
	{"internal/journal/group.go", "leaf", "err != nil of l.Encode()", "checkBody has encoded what callers hand in, and count refuses the numbers that have no encoding"},
	{"internal/journal/group.go", "issuedRoot", "err != nil of protocol.ParseLeaf(leaf)", "a leaf that does not parse has no body, so the check of its type holds"},
	{"internal/journal/group.go", "issuedRoot", "!ok of l.Body.(*protocol.Accepted)", "every start compares the tables with the leaves, so the row of an epoch names an accepted leaf"},
	{"internal/journal/until.go", "endsOf", "err != nil", "a failed read of the database, as are the reads of the state before it and of the next hold, which fail with it"},
	{"internal/journal/until.go", "thawEnded", `err != nil of g.core(now, &Request{Action: "thaw", Reason: "the end of the freeze was reached"}, h, protocol.Control{Action: h.Operation.thaw(), Reason: ReasonEnded})`, "ended returns no hold of a sealed log, and the claim of a hold is in the log"},
}
