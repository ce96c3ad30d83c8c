package claim

import "github.com/terradourada/td/protocol"

// openRule is open/1: the prover knows e and r behind cm. F is 0.
type openRule struct{}

func (openRule) public() []protocol.Element { return nil }

func (openRule) encode([]byte, protocol.Element) (protocol.Element, []protocol.Element, error) {
	return protocol.Element{}, nil, nil
}

func (openRule) holds(s *Statement, private []protocol.Element) bool {
	return s.opens(Compress(private[0], private[1]), protocol.Element{})
}
