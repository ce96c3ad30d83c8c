package claim

import (
	"fmt"

	"github.com/terradourada/td/protocol"
)

// Note explains one thing about the parameters of a claim, with an example: the
// parameters hold for the event. The example of group/1 is without its list.
type Note struct {
	Topic, Text   string
	Params, Event string
}

const (
	scaleText  = "the number of decimals: a number x of the event counts as the whole number x·10^scale + offset"
	offsetText = "makes that number 0 or greater: for values down to -25 at scale 2 it is 25·10^2 = 2500"
	ofNumbers  = "; a text, true, false or null needs none, so it is 0"
	fieldText  = "the place of the claimed pointer in schema, counted from 0"
)

var (
	recordBatchText = fmt.Sprintf("a receipt is about one field of a record of up to %d; for another field of the same event submit it again with other parameters", recordFields)

	openBatch = Note{
		"batch", fmt.Sprintf("a receipt holds one event of up to %d bytes, whatever is in it; parameters are not needed", protocol.MaxJSONSize),
		`{}`, `{"lots":["2026-11-A","2026-11-B","2026-11-C"]}`,
	}

	rangeScale = Note{
		"scale", scaleText + "; 21.25 has two decimals", `{"values":[{"at":"/celsius","lo":0,"hi":40.5}],"scale":2,"offset":0}`,
		`{"celsius":21.25}`,
	}
	rangeOffset = Note{
		"offset", offsetText + "; a negative one makes large numbers small enough, such as times in milliseconds", `{"values":[{"at":"/celsius","lo":-25,"hi":40}],"scale":2,"offset":2500}`,
		`{"celsius":-3.25}`,
	}
	rangeBatch = Note{
		"batch", fmt.Sprintf("a receipt holds 1 to %d numbers, each with bounds of its own; each element of an array counts", rangeSlots),
		`{"values":[{"at":"/readings","lo":60,"hi":80},{"at":"/battery","lo":3,"hi":4.2}],"scale":1,"offset":0}`,
		`{"battery":3.7,"readings":[69.8,71.2,70.8,68.9,69.2,70]}`,
	}

	sumScale = Note{
		"scale", "the number of decimals: a number x of the event counts as the whole number x·10^scale; 18.25 has two decimals",
		`{"at":["/net","/tax"],"lo":100,"hi":200,"scale":2}`, `{"net":120.5,"tax":18.25}`,
	}
	sumOffset = Note{
		"offset", "there is none, so no number may be negative; write what is taken away as an event of its own",
		`{"at":["/in"],"lo":0,"hi":500,"scale":0}`, `{"in":0,"out":40}`,
	}
	sumBatch = Note{
		"batch", fmt.Sprintf("a receipt adds 1 to %d numbers; each element of an array counts", sumSlots),
		`{"at":["/hours"],"lo":0,"hi":112,"scale":1}`, `{"hours":[8,7.5,8,8,6,0,0,8,8,7.5,8,7,0,0]}`,
	}

	recordField = Note{
		"field", fieldText, `{"schema":["/name","/born","/score"],"field":2,"lo":50,"hi":100,"scale":0,"offset":0}`,
		`{"name":"A. Sample","born":"1980-02-29","score":71}`,
	}
	recordScale = Note{
		"scale", scaleText + "; 7.25 has two decimals", `{"schema":["/lot","/acid"],"field":1,"lo":7,"hi":7.5,"scale":2,"offset":0}`,
		`{"lot":"A","acid":7.25}`,
	}
	recordOffset = Note{
		"offset", offsetText, `{"schema":["/lot","/celsius"],"field":1,"lo":-25,"hi":-18,"scale":2,"offset":2500}`,
		`{"lot":"A","celsius":-20.5}`,
	}
	recordBatch = Note{
		"batch", recordBatchText, `{"schema":["/a","/b","/c","/d","/e","/f","/g","/h"],"field":7,"lo":0,"hi":9,"scale":0,"offset":0}`,
		`{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8}`,
	}

	equalsField = Note{
		"field", fieldText, `{"schema":["/device","/firmware"],"field":1,"value":"4.2.1","scale":0,"offset":0}`,
		`{"device":"pump-7","firmware":"4.2.1"}`,
	}
	equalsScale = Note{
		"scale", scaleText + ofNumbers, `{"schema":["/lot","/acid"],"field":1,"value":7.25,"scale":2,"offset":0}`,
		`{"lot":"A","acid":7.25}`,
	}
	equalsOffset = Note{
		"offset", offsetText + ofNumbers, `{"schema":["/lot","/celsius"],"field":1,"value":-20.5,"scale":2,"offset":2500}`,
		`{"lot":"A","celsius":-20.5}`,
	}
	equalsBatch = Note{
		"batch", recordBatchText, `{"schema":["/a","/b","/c","/d","/e","/f","/g","/h"],"field":0,"value":true,"scale":0,"offset":0}`,
		`{"a":true,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8}`,
	}

	oneOfField = Note{
		"field", fieldText, `{"schema":["/item","/grade"],"field":1,"values":["A","B","C"],"scale":0,"offset":0}`,
		`{"item":"checklist 12","grade":"B"}`,
	}
	oneOfScale = Note{
		"scale", scaleText + ofNumbers, `{"schema":["/lot","/size"],"field":1,"values":[0.5,0.75,1],"scale":2,"offset":0}`,
		`{"lot":"A","size":0.75}`,
	}
	oneOfOffset = Note{
		"offset", offsetText + ofNumbers, `{"schema":["/lot","/celsius"],"field":1,"values":[-25,-18],"scale":2,"offset":2500}`,
		`{"lot":"A","celsius":-18}`,
	}
	oneOfBatch = Note{
		"batch", recordBatchText + fmt.Sprintf("; values holds 1 to %d", oneOfValues),
		`{"schema":["/site"],"field":0,"values":["a","b","c","d","e","f","g","h"],"scale":0,"offset":0}`,
		`{"site":"h"}`,
	}

	groupBatch = Note{
		"batch", "a receipt holds one answer of one member; each member answers a scope once, and another scope is another question",
		`{"scope":"board/2026-12"}`, `{"vote":"no"}`,
	}
)
