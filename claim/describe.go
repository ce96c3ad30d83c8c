package claim

// Description explains a claim to people. The parameters and the event of the example
// belong together.
type Description struct {
	Says   string // what a receipt of the claim says
	Shape  string // of the parameters
	Values string // what stands in them, where the shape does not say it; or ""

	Params, Event string // the example, in JSON

	Notes []Note
}

// Describe returns the description of a claim.
func Describe(id ID) Description { return descriptions[id] }

var descriptions = map[ID]Description{
	Open: {
		"I know the event behind this commitment", `{}`, "",
		`{}`, `{"lot":"2026-11-A","note":"sealed at the mill"}`,
		[]Note{openBatch},
	},
	Range: {
		"each of 1 to 7 numbers of the event lies between its bounds", `{values: [{at, lo, hi}], scale, offset}`, "",
		`{"values":[{"at":"/readings","lo":60,"hi":80}],"scale":2,"offset":0}`, `{"sensor":"ambient-office","readings":[69.88,71.22,70.88,68.96,69.28,70.06,69.28]}`,
		[]Note{rangeScale, rangeOffset, rangeBatch},
	},
	Sum: {
		"the sum of 1 to 14 numbers of the event lies between two bounds", `{at: [pointer], lo, hi, scale}`, "",
		`{"at":["/jan","/feb","/mar"],"lo":100,"hi":900,"scale":0}`, `{"jan":210,"feb":185,"mar":240}`,
		[]Note{sumScale, sumOffset, sumBatch},
	},
	RecordRange: {
		"one number of a record of up to 8 fields lies between two bounds; the others stay hidden", `{schema: [pointer], field, lo, hi, scale, offset}`, `lo and hi may be texts where no JSON number says the value, e.g. "18446744073709551615"`,
		`{"schema":["/name","/born","/country","/score"],"field":3,"lo":50,"hi":100,"scale":0,"offset":0}`, `{"name":"A. Sample","born":"1980-02-29","country":"BR","score":71}`,
		[]Note{recordField, recordScale, recordOffset, recordBatch},
	},
	RecordEquals: {
		"one field of a record equals a value; the others stay hidden", `{schema: [pointer], field, value, scale, offset}`, `value is a text, a number, true, false or null`,
		`{"schema":["/device","/firmware","/site"],"field":1,"value":"4.2.1","scale":0,"offset":0}`, `{"device":"pump-7","firmware":"4.2.1","site":"north"}`,
		[]Note{equalsField, equalsScale, equalsOffset, equalsBatch},
	},
	RecordOneOf: {
		"one field of a record is one of up to 8 values; which one stays hidden", `{schema: [pointer], field, values: [1 to 8], scale, offset}`, `each value is a text, a number, true, false or null`,
		`{"schema":["/item","/grade"],"field":1,"values":["A","B","C"],"scale":0,"offset":0}`, `{"item":"checklist 12","grade":"B"}`,
		[]Note{oneOfField, oneOfScale, oneOfOffset, oneOfBatch},
	},
	Group: {
		"I am one of the members of a list, and answer this scope once", `{list, name, scope}; the nullifier is computed`, "",
		`{"scope":"board/2026-11"}`, `{"vote":"yes"}`,
		[]Note{groupBatch},
	},
}
