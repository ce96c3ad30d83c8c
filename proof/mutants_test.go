package proof_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutant is a fault that is put into a file, and the test that has to fail.
type mutant struct {
	file, old, new string
	test           string
}

// mutants are the dropped checks, equations, weights, masks and inputs of these
// packages. Text that no longer occurs exactly once in its file is an error, so
// that the list follows the code.
var mutants = []mutant{
	{"field/element.go", "d + Modulus&uint32(int32(d)>>31)", "d", "TestArithmetic"},
	{"field/element.go", "v < Modulus\n", "true\n", "TestEncoding"},
	{"field/element.go", "high += product >> 32", "high += 0", "TestDot"},
	{"field/element.go", "len(b) != Size*len(elements)", "len(b) < Size*len(elements)", "TestParseAll"},
	{"field/element.go", "valid = valid && ok", "valid = ok", "TestParseAll"},
	{"field/element.go", "high*rSquared", "high*rModP", "TestNew"},
	{"field/domain.go", "v[i] = v[i].Mul(d.scale)", "_ = v[i].Mul(d.scale)", "TestEvaluate"},
	{"field/domain.go", "x, y := a[i].Add(b[i]), c[i].Add(e[i])", "x, y := a[i].Add(b[i]), c[i]", "TestEvaluate"},
	{"field/domain.go", "clear(v[k:block])", "", "TestEvaluate"},
	{"field/element.go", "d + Modulus<<32&(d>>63)", "d", "TestAddProducts"},
	{"field/domain.go", "x.Pow(uint64(d.size)).Sub(power)", "x.Pow(uint64(d.size))", "TestLagrange"},

	{"poseidon/poseidon.go", "i == 0 || Full(round)", "i >= 0 || Full(round)", "TestVector"},
	{"poseidon/poseidon.go", "partialRounds = 20", "partialRounds = 19", "TestVector"},
	{"poseidon/poseidon.go", "state[i].Square().Mul(state[i])", "state[i].Square()", "TestVector"},
	{"poseidon/poseidon.go", "state[DigestSize+i].Add(y[i])", "state[DigestSize+i]", "TestCompress"},
	{"poseidon/poseidon.go", "state[DigestSize+i].Add", "state[i].Add", "TestCompress"},
	{"poseidon/grain.go", "v < field.Modulus", "v < 1<<32", "TestVector"},

	{"merkle/merkle.go", "nodePrefix = 1", "nodePrefix = 0", "TestTreeRoot"},
	{"merkle/merkle.go", "len(proof) != len(path)", "len(proof) < len(path)", "TestEverySet"},
	{"merkle/merkle.go", "len(proof) != len(path)", "len(proof) > len(path)", "TestEverySet"},
	{"merkle/merkle.go", "|| len(positions) == 0", "", "TestEmptySet"},
	{"merkle/merkle.go", "node(known[i-1], right)", "node(right, known[i-1])", "TestEverySet"},
	{"merkle/merkle.go", "known[i^1] && !known[i]", "known[i^1]", "TestEverySet"},
	{"merkle/merkle.go", "|| known[n+j]", "", "TestRefuses"},
	{"merkle/merkle.go", "j < 0 || ", "", "TestRefuses"},
	{"merkle/merkle.go", "j >= n || ", "", "TestRefuses"},

	{"transcript/transcript.go", "s.preimage[1+len(state)] = tag", "_ = tag", "TestStreamsDiffer"},
	{"transcript/transcript.go", "copy(s.preimage[1:], state[:])", "_ = state", "TestStreamsDiffer"},
	{"transcript/transcript.go", "h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))", "", "TestDigest"},
	{"transcript/transcript.go", "h.Write([]byte(label))", "", "TestDigest"},
	{"transcript/transcript.go", "b[0] &= 0x7f", "", "TestElements"},
	{"transcript/transcript.go", "; ok {", "; ok || !ok {", "TestElements"},
	{"transcript/transcript.go", "if !seen[p] {", "if !seen[p] || seen[p] {", "TestPositions"},
	{"transcript/transcript.go", "s.next++", "", "TestElements"},

	{"ligero/codec.go", "len(proof) != l.path+merkle.Size*", "len(proof) < l.path+merkle.Size*", "TestEveryByte"},
	{"ligero/codec.go", "len(proof) < l.path || (len(proof)-l.path)%merkle.Size != 0", "len(proof) < l.path", "TestBoundedMemory"},
	{"ligero/codec.go", "!field.ParseAll(p.u[m], u[m*uSize:][:uSize]) ||", "!field.ParseAll(p.u[m], u[m*uSize:][:uSize]) && false ||", "TestOneEncoding"},
	{"ligero/codec.go", "|| !field.ParseAll(p.t[m][1:], t[m*tSize:][:tSize])", "|| !field.ParseAll(p.t[m][1:], t[m*tSize:][:tSize]) && false", "TestOneEncoding"},
	{"ligero/codec.go", "if !field.ParseAll(p.columns[i], column[merkle.SaltSize:])", "if !field.ParseAll(p.columns[i], column[merkle.SaltSize:]) && false", "TestOneEncoding"},

	{"ligero/verify.go", "len(public) != s.system.Publics", "false", "TestWrongNumbers"},
	{"ligero/verify.go", "!ok || root != p.root", "!ok || root != root", "TestSaltsAreBound"},
	{"ligero/verify.go", "!c.checkRows(m, rows)", "!c.checkRows(m, rows) && false", "TestWordsThatAreNoCode"},
	{"ligero/verify.go", "!c.checkSum(m, equations, public)", "!c.checkSum(m, equations, public) && false", "TestFalseValues"},
	{"ligero/verify.go", "for m := range s.Components", "for m := range s.Components - 1", "TestAnswersMoved"},
	{"ligero/verify.go", "c.closing(c.t[m], sum)", "c.closing(c.t[m], sum.Add(field.One))", "TestHonest"},
	{"ligero/verify.go", "column[rows+m].Add(field.Dot", "field.One.Add(field.Dot", "TestHonest"},
	{"ligero/verify.go", "column[masks+m].Add", "column[masks-1].Add", "TestHonest"},
	{"ligero/verify.go", "range c.values[query]", "range c.values[query][:c.system.Rows]", "TestHonest"},
	{"ligero/verify.go", "for i, column := range c.columns {\n\t\tif column[rows", "for i, column := range c.columns[:1] {\n\t\tif column[rows", "TestEveryQuery"},
	{"ligero/verify.go", "for i, column := range c.columns {\n\t\tif column[masks", "for i, column := range c.columns[:1] {\n\t\tif column[masks", "TestEveryQuery"},
	{"ligero/codec.go", "[]byte{merkle.LeafPrefix}", "[]byte{1}", "TestHonest"},

	{"ligero/scheme.go", "\t\ts.digest[:],\n", "", "TestTranscriptInputs"},
	{"ligero/scheme.go", "appendInts(nil, s.Slots, s.Length,", "appendInts(nil, s.Length,", "TestTranscriptInputs"},
	{"ligero/scheme.go", "s.Slots, s.Length, s.Queries,", "s.Slots, s.Queries,", "TestTranscriptInputs"},
	{"ligero/scheme.go", "s.Length, s.Queries, s.Components,", "s.Length, s.Components,", "TestTranscriptInputs"},
	{"ligero/scheme.go", "s.Queries, s.Components, s.system.Rows)", "s.Queries, s.system.Rows)", "TestTranscriptInputs"},
	{"ligero/scheme.go", "s.Components, s.system.Rows)", "s.Components)", "TestTranscriptInputs"},
	{"ligero/scheme.go", "field.AppendAll(appendInts(nil, len(public)), public)", "appendInts(nil, len(public))", "TestTranscriptInputs"},
	{"ligero/scheme.go", "appendInts(nil, len(public)), public)", "appendInts(nil, 0), public)", "TestAgreement"},
	{"ligero/scheme.go", "public),\n\t\troot[:])", "public))", "TestTranscriptInputs"},
	{"ligero/scheme.go", "state[:], polynomials[0], polynomials[1]", "polynomials[0], polynomials[1]", "TestTranscriptInputs"},
	{"ligero/scheme.go", "polynomials[0], polynomials[1]", "polynomials[1]", "TestTranscriptInputs"},
	{"ligero/scheme.go", "polynomials[0], polynomials[1]", "polynomials[0]", "TestTranscriptInputs"},
	{"ligero/scheme.go", "tagRows+byte(component)", "tagRows", "TestWeightsAreIndependent"},
	{"ligero/scheme.go", "tagEquations+byte(component)", "tagEquations", "TestWeightsAreIndependent"},
	{"ligero/scheme.go", "tagEquations = 0x10", "tagEquations = 0x00", "TestWeightsAreIndependent"},
	{"ligero/scheme.go", "Elements(equations)\n", "Elements(equations)\n\tequations[0] = field.One\n", "TestMaskShifted"},
	{"ligero/scheme.go", "Elements(equations)\n", "Elements(equations)\n\tfor i := range equations {\n\t\tequations[i] = equations[0].Pow(uint64(i + 1))\n\t}\n", "TestAgreement"},
	{"ligero/scheme.go", "Elements(rows)\n", "Elements(rows)\n\trows[0] = field.One\n", "TestWeightsAreIndependent"},
	{"ligero/scheme.go", "shift := field.New(field.Generator)", "shift := field.One", "TestAgreement"},
	{"ligero/scheme.go", "system.Slots != params.Slots", "false", "TestSystems"},
	{"ligero/scheme.go", "newScheme(system, params, MinBits)", "newScheme(system, params, 0)", "TestParamsRefused"},
	{"ligero/scheme.go", "err := system.check(); err != nil", "err := error(nil); err != nil", "TestSystems"},

	{"ligero/params.go", "max((n+k)/2, 1.02*math.Sqrt(n*d))", "(n + k) / 2", "TestJohnson"},
	{"ligero/params.go", "max((n+k)/2, 1.02*math.Sqrt(n*d))", "max(k, 1.02*math.Sqrt(n*d))", "TestBits"},
	{"ligero/params.go", "MinBits = 128", "MinBits = 127", "TestParamsRefused"},
	{"ligero/params.go", "(g - float64(i)) / (n - float64(i))", "(g - 0*float64(i)) / (n - 0*float64(i))", "TestBits"},
	{"ligero/params.go", "math.Exp2(b.Proximity) + ", "", "TestBits"},
	{"ligero/params.go", "p.productLength() > p.Length", "false", "TestProductFits"},

	{"ligero/system.go", "|| t.Factor == (field.Element{})", "", "TestSystems"},
	{"ligero/system.go", "list.terms[i-1].compare(t) >= 0", "false", "TestSystems"},
	{"ligero/system.go", "int(t.At) >= list.places ||", "", "TestSystems"},
	{"ligero/system.go", "int(t.Equation) >= s.Equations ||", "", "TestSystems"},
	{"ligero/system.go", "|| p[1] >= s.Rows", "", "TestSystems"},
	{"ligero/system.go", "p[0] > p[1] ||", "", "TestSystems"},
	{"ligero/system.go", "sum = sum.Sub(x)", "sum = sum.Add(x)", "TestHonest"},
	{"ligero/system.go", "products, encodeTerms(s.Linear)", "encodeTerms(s.Linear)", "TestSystems"},
	{"ligero/system.go", "encodeTerms(s.Linear), ", "", "TestSystems"},
	{"ligero/system.go", "encodeTerms(s.Quadratic), ", "", "TestSystems"},
	{"ligero/system.go", ", encodeTerms(s.Constant))", ")", "TestSystems"},
	{"ligero/system.go", "appendInts(nil, s.Slots, s.Rows, s.Publics, s.Equations)", "appendInts(nil, s.Slots, s.Rows, s.Publics)", "TestSystems"},

	{"ligero/prove.go", "\tc.seed = nil\n", "", "TestCoinsAreSpent"},
	{"ligero/prove.go", "defer clear(seed[:]); return seed", "return seed", "TestCoinsNeverPrint"},
	{"ligero/prove.go", "\t\tclear(v)\n", "\t\t_ = v\n", "TestWiped"},
	{"ligero/prove.go", "p.words = take(", "p.words = blocks(", "TestWiped"},
	{"ligero/prove.go", "append(take(s.system.Rows", "append(blocks(s.system.Rows", "TestWiped"},
	{"ligero/prove.go", ", take(s.Components,", ", blocks(s.Components,", "TestWiped"},
	{"ligero/prove.go", "p.products = take(", "p.products = blocks(", "TestWiped"},
	{"ligero/prove.go", "p.sum = take(", "p.sum = blocks(", "TestWiped"},
	{"ligero/prove.go", "clear(p.sums)\n\tif testingOnlyWiped", "if testingOnlyWiped", "TestWiped"},
	{"ligero/prove.go", "clear(p.bytes)", "", "TestWiped"},
	{"ligero/prove.go", "defer p.wipe()", "", "TestWiped"},
	{"ligero/prove.go", "if !satisfied {", "if !satisfied && false {", "TestProveRefusesFalseValues"},
	{"ligero/prove.go", "random.Elements(high)", "", "TestAgreement"},
	{"ligero/prove.go", "random.Elements(c)\n", "\n", "TestAgreement"},
	{"ligero/prove.go", "random.Elements(c[1:])", "random.Elements(c[2:])", "TestAgreement"},
	{"ligero/prove.go", "c[0] = p.closing(c, field.Element{})", "", "TestHonest"},
	{"ligero/prove.go", "salt := salts.Block()", "salt := [32]byte{}", "TestAgreement"},
	{"ligero/prove.go", "len(values) != s.system.Rows*s.Slots", "false", "TestWrongNumbers"},

	{"circuit/builder.go", "b.Equal(single(kindRight|n), single(kindDouble|n))", "", "TestEveryEquationCounts"},
	{"circuit/builder.go", "b.Equal(single(kindRight|n), w)", "", "TestEveryEquationCounts"},
	{"circuit/builder.go", "b.Equal(single(kindLeft|n), g.left)", "", "TestEveryEquationCounts"},
	{"circuit/builder.go", "b.Zero(v.Minus(square))", "_ = square", "TestBits"},
	{"circuit/builder.go", "f := a[0].factor.Add(b[0].factor); f != (field.Element{})", "f := a[0].factor.Add(b[0].factor); true", "TestValues"},
	{"circuit/limbs.go", "carry = b.Bit()", "carry = b.Secret()", "TestCarriesAreBits"},
	{"circuit/limbs.go", "b.Equal(sum, y[i])", "if i > 0 {\n\t\t\tb.Equal(sum, y[i])\n\t\t}", "TestAtMostEveryLimb"},
	{"circuit/limbs.go", "b.Equal(sum, y[i])", "if i < 3 {\n\t\t\tb.Equal(sum, y[i])\n\t\t}", "TestAtMost"},
	{"circuit/poseidon.go", "s.value(0).Plus(Constant(constants[0]))", "s.value(0)", "TestCompress"},
	{"circuit/poseidon.go", ".Plus(y[i])", "", "TestCompress"},
	{"circuit/poseidon.go", "b.Equal(d[i], e[i])", "if i > 0 {\n\t\t\tb.Equal(d[i], e[i])\n\t\t}", "TestEverySecretCounts"},
	{"circuit/compile.go", "place += len(b.gates) % l", "", "TestSamplesHold"},
	{"circuit/compile.go", "leftPlace(n, c.System.Slots) + c.System.Slots", "leftPlace(n, c.System.Slots)", "TestSamplesHold"},
	{"circuit/compile.go", "return 2*row + 1, true", "return 2 * row, true", "TestSamplesHold"},
	{"circuit/compile.go", "len(public) != c.System.Publics", "false", "TestWrongNumbers"},

	{"claims/commit.go", "t[i] = t[i].Add(f[i])", "t[i] = f[i]", "TestCommitments"},
	{"claims/commit.go", "f.Plus(t)), cm)", "f), cm)", "TestClaims"},
	{"claims/hash.go", "subtle.XORBytes(block, block, first)", "subtle.XORBytes(block, first, first)", "TestExpand"},
	{"claims/hash.go", "label+dstSuffix", "dstSuffix", "TestHashToDigest"},
	{"claims/record.go", "s.Lo > s.Hi", "false", "TestStatementsRefused"},
	{"claims/record.go", "number < 0 || number >= RecordFields", "false", "TestStatementsRefused"},
	{"claims/record.go", "b.AtMost(lo, v,", "b.AtMost(lo, lo,", "TestClaims"},
	{"claims/record.go", "b.AtMost(v, hi,", "b.AtMost(hi, hi,", "TestClaims"},
	{"claims/record.go", "number>>level&1 == 0", "level >= 0", "TestClaims"},
	{"claims/record.go", "shape{recordEqualsID, s.Field, 0}", "shape{recordEqualsID, 0, 0}", "TestClaims"},
	{"claims/record.go", "shape{recordOneOfID, s.Field, 0}", "shape{recordOneOfID, 0, 0}", "TestClaims"},
	{"claims/record.go", "b, recordEqualsID, s.Field, value, cm", "b, recordEqualsID, s.Field, cm, value", "TestClaims"},
	{"claims/record.go", "\t\tbit := b.Bit()\n", "\t\tbit := b.Secret()\n", "TestStatistics"},
	{"claims/record.go", "values[2*i+1])\n\t\t}\n\t\tvalues", "values[2*i])\n\t\t}\n\t\tvalues", "TestChoices"},
	{"claims/record.go", "copy(value[:], v)", "copy(value[1:], v)", "TestClaims"},
	{"claims/range.go", "b.AtMost(lo, v,", "b.AtMost(lo, lo,", "TestClaims"},
	{"claims/range.go", "b.AtMost(v, hi,", "b.AtMost(hi, hi,", "TestClaims"},
	{"claims/range.go", "packBits(all), cm", "packBits(all[:valueBits]), cm", "TestClaims"},
	{"claims/range.go", "packedBits   = 28", "packedBits   = 32", "TestRangePacking"},
	{"claims/range.go", "if i.Lo > i.Hi {", "if i.Lo > i.Hi && false {", "TestStatementsRefused"},
	{"claims/range.go", "len(s.Intervals) < 1 ||", "", "TestStatementsRefused"},
	{"claims/range.go", "|| len(s.Intervals) > RangeValues", "", "TestStatementsRefused"},
	{"claims/range.go", "shape{rangeID, len(s.Intervals), 0}", "shape{rangeID, 0, 0}", "TestClaims"},
	{"claims/range.go", "b.AtMost(lo, sum,", "b.AtMost(lo, lo,", "TestClaims"},
	{"claims/range.go", "b.AtMost(sum, hi,", "b.AtMost(hi, hi,", "TestClaims"},
	{"claims/range.go", "packBits(bits[split:]))", "packBits(nil))", "TestClaims"},
	{"claims/range.go", "s.Count > SumValues || ", "", "TestStatementsRefused"},
	{"claims/range.go", "s.Count < 1 || ", "", "TestStatementsRefused"},
	{"claims/range.go", "s.Lo > s.Hi || ", "", "TestStatementsRefused"},
	{"claims/range.go", "|| s.Hi >= 1<<sumBits", "", "TestStatementsRefused"},
	{"claims/range.go", "shape{sumID, s.Count, 0}", "shape{sumID, 0, 0}", "TestClaims"},
	{"claims/series.go", "\t\tb.Equal(v.Plus(below), hi)\n", "\t\t_, _ = below, hi\n", "TestSeries"},
	{"claims/series.go", "lo.Plus(circuit.Number(above))", "circuit.Number(above).Plus(lo).Minus(lo)", "TestSeries"},
	{"claims/series.go", "circuit.Digest{circuit.Constant(field.New(uint64(s.Count)))}", "circuit.Digest{}", "TestClaims"},
	{"claims/series.go", "block[i%len(block)] = v\n", "block[0] = v\n", "TestSeries"},
	{"claims/series.go", "b.AtMost(sumLo, sum,", "b.AtMost(sumLo, sumLo,", "TestSeries"},
	{"claims/series.go", "b.AtMost(sum, sumHi,", "b.AtMost(sumHi, sumHi,", "TestSeries"},
	{"claims/series.go", "s.Count < 1 || ", "", "TestStatementsRefused"},
	{"claims/series.go", "s.Count < 1 || s.Count > MaxReadings", "s.Count < 1", "TestStatementsRefused"},
	{"claims/series.go", "s.Hi > MaxReading", "false", "TestStatementsRefused"},
	{"claims/series.go", "n*uint64(s.Lo) > s.SumLo || ", "", "TestStatementsRefused"},
	{"claims/series.go", "s.SumLo > s.SumHi || ", "", "TestStatementsRefused"},
	{"claims/series.go", " || s.SumHi > n*uint64(s.Hi)", "", "TestStatementsRefused"},
	{"claims/series.go", "MaxReading = 1<<30 - 1", "MaxReading = 1<<32 - 1", "TestStatementsRefused"},
	{"claims/series.go", "shape{seriesID, s.Count, s.width()}", "shape{seriesID, s.Count, 0}", "TestBatchesRefused"},
	{"claims/series.go", "shape{seriesID, s.Count, s.width()}", "shape{seriesID, 0, s.width()}", "TestClaims"},
	{"claims/suite.go", "b.Statement == nil", "false", "TestBatchesRefused"},
	{"claims/suite.go", "append(public, b.public()...)", "append(public, append(statements[0].public()[:24:24], b.Statement.public()...)...)", "TestBatches"},
	{"claims/session.go", "b.Session.Anchor, b.Session.Context, b.Session.Tag", "Digest{}, b.Session.Context, b.Session.Tag", "TestSessions"},
	{"claims/session.go", "b.Session.Anchor, b.Session.Context, b.Session.Tag", "b.Session.Anchor, Digest{}, b.Session.Tag", "TestSessions"},
	{"claims/session.go", "b.Session.Anchor, b.Session.Context, b.Session.Tag", "b.Session.Anchor, b.Session.Context, Digest{}", "TestSessions"},
	{"claims/session.go", "b.Session.Anchor, b.Session.Context, b.Session.Tag", "b.Session.Context, b.Session.Anchor, b.Session.Tag", "TestAnswers"},
	{"claims/session.go", "w.session == nil", "false", "TestUnbound"},
	{"claims/session.go", "\"TD-V2-context\"", "\"TD-V2-tag\"", "TestContextAndTag"},
	{"claims/params.go", "\"TD-V2-literal\"", "\"TD-V2-text\"", "TestRecordValues"},
	{"claims/params.go", "\"TD-V2-value\"", "\"TD-V2-text\"", "TestRecordValues"},
	{"claims/params.go", "return Integer(v.Number)", "return Integer(0)", "TestRecordValues"},
	{"claims/params.go", "_, err := parseText(text)\n\t\treturn err", "return nil", "TestParamsKept"},
	{"claims/params.go", "Series{cm, r.Count, r.Lo, r.Hi, r.SumLo, r.SumHi}", "Series{cm, r.Count, r.Lo, r.Hi, r.SumLo, r.SumLo}", "TestSeriesParams"},
	{"claims/event.go", "HashToDigest(\"TD-V2-event\", canonical)", "HashToDigest(\"TD-V2-event\", nil)", "TestRecordValues"},
	{"claims/event.go", "why != \"\"", "why != \"\" && false", "TestSeriesParams"},
	{"claims/event.go", "w.Statement() != want", "w.Statement() != want && false", "TestGroup"},
	{"claims/event.go", "func Commit(p *Params, event []byte, blind Digest) (*Witness, error) {\n\tif err := rules.CheckEvent(event); err != nil {", "func Commit(p *Params, event []byte, blind Digest) (*Witness, error) {\n\tif err := error(nil); err != nil {", "TestSeriesParams"},
	{"claims/list.go", "if err := r.CheckList(l.id, l.name); err != nil {", "if err := error(nil); err != nil {", "TestOtherLists"},
	{"claims/list.go", "if l == nil {", "if l == nil && false {", "TestOtherLists"},
	{"claims/list.go", "parts := [][]byte{[]byte(name)}", "parts := [][]byte{nil}", "TestLists"},
	{"claims/list.go", "append(members, m), append(parts, member)", "append(members, m), parts", "TestLists"},
	{"claims/list.go", "transcript.Digest(\"TD-V2-scope\", []byte(name), []byte(scope))", "transcript.Digest(\"TD-V2-scope\", []byte(scope))", "TestLists"},
	{"claims/list.go", "!found {", "!found && false {", "TestOtherLists"},
	{"claims/session.go", "range 3 {", "range 2 {", "TestClaims"},
	{"claims/suite.go", "s.Count*len(statements) > MaxReadings", "s.Count < 0", "TestBatchesRefused"},
	{"circuit/limbs.go", "carry = Number(b.Bits(carryBits))", "carry = Value{}", "TestSum"},
	{"circuit/limbs.go", "carry = sum[n]\n", "carry = Value{}\n", "TestSum"},
	{"circuit/limbs.go", "\t\tb.Equal(total, sum[i]", "\t\tif i == 0 {\n\t\t\tcontinue\n\t\t}\n\t\tb.Equal(total, sum[i]", "TestSumEveryLimb"},
	{"circuit/poseidon.go", "b.Multiply(bit, y[i].Minus(x[i]))", "b.Multiply(bit, y[i])", "TestSelect"},
	{"claims/member.go", "|| s.Scope == one", "", "TestStatementsRefused"},
	{"claims/suite.go", "b.Statement.shape() != statements[0].Statement.shape()", "false", "TestBatchesRefused"},
	{"claims/suite.go", "len(statements) > MaxBatch", "len(statements) > MaxBatch+1", "TestBatchesRefused"},
	{"claims/record.go", "shape{recordRangeID, s.Field, 0}", "shape{recordRangeID, 0, 0}", "TestClaims"},
	{"claims/member.go", "\tb.EqualDigests(node, root)\n", "\t_ = root\n", "TestFalseWitness"},
	{"claims/member.go", "\tb.EqualDigests(b.Compress(sk, scope), nullifier)\n", "\t_, _ = scope, nullifier\n", "TestFalseWitness"},
	{"claims/member.go", "right := b.Bit()", "right := b.Secret()", "TestStatistics"},
	{"claims/member.go", ".Plus(sibling).Minus(left)", ".Plus(sibling)", "TestMembers"},
	{"claims/member.go", "shape{memberID, s.Depth, 0}", "shape{memberID, 0, 0}", "TestMembers"},
	{"claims/suite.go", "err := b.Statement.Check(); err != nil", "err := error(nil); err != nil", "TestStatementsRefused"},
}

// TestMutants runs the mutants of the folder that TD_MUTANTS names, or "all" of them,
// which takes minutes.
func TestMutants(t *testing.T) {
	folder, tried := os.Getenv("TD_MUTANTS"), 0
	for _, m := range mutants {
		source, err := os.ReadFile(m.file)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(source), m.old); n != 1 {
			t.Errorf("%s: %q occurs %d times", m.file, m.old, n)
			continue
		}
		if folder == "all" || folder == filepath.Dir(m.file) {
			tried++
			m.mustFail(t, strings.Replace(string(source), m.old, m.new, 1))
		}
	}
	t.Logf("%d of %d mutants tried", tried, len(mutants))
}

// mustFail runs the test against the mutant, which replaces its file for the
// compiler alone.
func (m mutant) mustFail(t *testing.T, source string) {
	t.Helper()
	dir := t.TempDir()
	file, err := filepath.Abs(m.file)
	if err != nil {
		t.Fatal(err)
	}
	changed, overlay := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {file: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{changed: source, overlay: string(list)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), "go", "test", "-vet=off", "-timeout=60s", "-overlay", overlay, "-run", "^"+m.test+"$", "./"+filepath.Dir(m.file)).CombinedOutput()
	switch {
	case err == nil:
		t.Errorf("%s: %q for %q survives %s", m.file, m.new, m.old, m.test)
	case strings.Contains(string(out), "[build failed]") || strings.Contains(string(out), "[setup failed]"):
		t.Errorf("%s: %q for %q does not compile:\n%s", m.file, m.new, m.old, out)
	}
}
