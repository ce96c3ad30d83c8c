package claim_test

import (
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
