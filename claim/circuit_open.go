package claim

import "github.com/consensys/gnark/frontend"

// defineOpen: cm = C(C(e, r), T). A proof shows knowledge of e and r.
func defineOpen(g *gates, s, w []frontend.Variable) {
	cm, e, r := s[0], w[0], w[1]
	g.commit(cm, g.compress(e, r), 0)
}
