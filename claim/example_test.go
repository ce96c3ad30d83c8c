package claim_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/terradourada/td/claim"
)

// A statement about the readings of a lot: each lies between 60 and 80.5.
func Example() {
	p, err := claim.Prepare(claim.Range,
		[]byte(`{"values": [{"at": "/readings", "lo": 60, "hi": 80.5}], "scale": 2, "offset": 0}`),
		[]byte(`{ "lot": 7, "readings": [ 61.50, 7e1 ] }`))
	if err != nil {
		log.Fatal(err)
	}
	cm, assignment, err := claim.Commit(p.Params(), p.Event(), claim.NewBlind())
	if err != nil {
		log.Fatal(err)
	}
	statement, err := claim.NewStatement(p.Params(), cm)
	if err != nil {
		log.Fatal(err)
	}

	fmt.Printf("%s\n%s\n", p.Event(), p.Params().Bytes())
	fmt.Println("public values:", len(statement.Public()))
	fmt.Println("private values:", assignment)
	fmt.Println("holds:", statement.Check(assignment) == nil)
	// Output:
	// {"lot":7,"readings":[61.5,70]}
	// {"offset":0,"scale":2,"values":[{"at":"/readings/0","hi":80.5,"lo":60},{"at":"/readings/1","hi":80.5,"lo":60}]}
	// public values: 15
	// private values: redacted
	// holds: true
}

// A refusal is explained where the event is known.
func ExampleRefusal() {
	params, err := claim.ParseParams(claim.Range, []byte(`{"offset":25,"scale":0,"values":[{"at":"/celsius","hi":40,"lo":-25}]}`))
	if err != nil {
		log.Fatal(err)
	}
	_, _, err = claim.Commit(params, []byte(`{"celsius":-3.25}`), claim.NewBlind())
	fmt.Println("for a log:", err)
	if refused := new(claim.Refusal); errors.As(err, &refused) {
		fmt.Println("for the holder:", refused.Explain())
	}
	// Output:
	// for a log: event_not_encodable: a value that the parameters name is not an integer below 2^32 after scale and offset
	// for the holder: /celsius = -3.25 needs scale 2 and offset >= 2500 for values down to -25 (lo -25)
}
