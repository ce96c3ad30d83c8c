package mutants_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// guard is one thing that can be removed.
type guard struct {
	file     string // from the root of the module
	line     int
	function string
	text     string // the condition, or the statement that refuses
}

func (g guard) String() string { return fmt.Sprintf("%s:%d %s", g.file, g.line, g.text) }

// edit is a text that is put into a file at an offset.
type edit struct {
	at   int
	text string
	over int // bytes of the file that it replaces
}

// finder collects the guards of one file, and the edits that give each its switch.
type finder struct {
	file   string
	source string
	tokens *token.File
	every  bool // every condition counts
	first  int  // number of the first guard

	function string
	guards   []guard
	edits    []edit
}

// find returns the guards of a file in the order of their numbers, and its source with a
// switch for each.
func find(t *testing.T, file, source string, every bool, first int) ([]guard, string) {
	t.Helper()
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	f := &finder{file: file, source: source, tokens: set.File(parsed.Pos()), every: every, first: first}
	for _, d := range parsed.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil && fn.Name.Name != "String" {
			f.function = fn.Name.Name
			ast.PreorderStack(fn, nil, f.visit)
		}
	}
	changed := f.changed()
	if _, err := parser.ParseFile(token.NewFileSet(), file, changed, parser.SkipObjectResolution); err != nil {
		t.Fatalf("%s with switches: %v", file, err)
	}
	return f.guards, changed
}

// visit looks at a node within the nodes that enclose it.
func (f *finder) visit(n ast.Node, in []ast.Node) bool {
	results := resultsOf(in)
	switch n := n.(type) {
	case *ast.IfStmt:
		if of := f.passedOn(n, in); f.every || f.refuses(n.Body.List, results) && !isRead(of) {
			f.condition(n.Cond, n.Cond, of)
		}
	case *ast.SwitchStmt:
		f.cases(n, results, in)
	case *ast.ReturnStmt:
		if f.ends(n, results, in) {
			f.result(n.Results[len(n.Results)-1])
		}
	}
	return true
}

// condition puts a switch at each operand of an or.
func (f *finder) condition(e, whole ast.Expr, of string) {
	switch {
	case paren(e) != nil && hasOr(e):
		f.condition(paren(e), whole, of)
	case isOp(e, token.LOR), isOp(e, token.LAND) && hasOr(e):
		b := e.(*ast.BinaryExpr)
		for _, side := range []ast.Expr{b.X, b.Y} {
			if b.Op == token.LOR || hasOr(side) {
				f.condition(side, whole, of)
			}
		}
	default:
		text := f.text(e)
		if e != whole {
			text += " in " + f.text(whole)
		}
		if of != "" {
			text += " of " + of
		}
		f.put(e, "(", fmt.Sprintf(") && mutantOn(%d)", f.add(e.Pos(), text)))
	}
}

// cases puts one at each refusing case of a switch statement. A statement over a value
// with such a case becomes one over conditions.
func (f *finder) cases(s *ast.SwitchStmt, results []*ast.Field, in []ast.Node) {
	refuses := func(c ast.Stmt) bool {
		clause := c.(*ast.CaseClause)
		return f.every && clause.List != nil || f.refuses(clause.Body, results)
	}
	tag := ""
	if s.Tag != nil && slices.ContainsFunc(s.Body.List, func(c ast.Stmt) bool { return refuses(c) && c.(*ast.CaseClause).List != nil }) {
		tag = f.text(s.Tag)
		f.edits = append(f.edits, edit{f.offset(s.Tag.Pos()), "", len(tag)})
	}
	for _, c := range s.Body.List {
		clause := c.(*ast.CaseClause)
		if clause.List == nil && refuses(c) && !isLast(s, in) {
			last := clause.Body[len(clause.Body)-1]
			n := f.add(last.Pos(), "default: "+f.text(last))
			f.edits = append(f.edits, edit{f.offset(clause.Colon) + 1, fmt.Sprintf(" if mutantOn(%d) {", n), 0}, edit{f.offset(last.End()), "}", 0})
		}
		for _, e := range clause.List {
			switch {
			case tag == "" && refuses(c):
				f.condition(e, e, "")
			case tag != "" && refuses(c):
				f.put(e, "("+tag+") == (", fmt.Sprintf(") && mutantOn(%d)", f.add(e.Pos(), tag+" == "+f.text(e))))
			case tag != "":
				f.put(e, "("+tag+") == (", ")")
			}
		}
	}
}

// result puts one at an error that a function ends with.
func (f *finder) result(e ast.Expr) {
	f.put(e, fmt.Sprintf("mutantError(%d, ", f.add(e.Pos(), f.text(e))), ")")
}

// put encloses an expression. Edits at one place are applied in the order in which they
// were put there.
func (f *finder) put(e ast.Expr, before, after string) {
	f.edits = append(f.edits, edit{f.offset(e.Pos()), before, 0}, edit{f.offset(e.End()), after, 0})
}

// add adds a guard and returns its number.
func (f *finder) add(at token.Pos, text string) int {
	f.guards = append(f.guards, guard{f.file, f.tokens.Line(at), f.function, strings.Join(strings.Fields(text), " ")})
	return f.first + len(f.guards) - 1
}

func (f *finder) offset(p token.Pos) int { return f.tokens.Offset(p) }

func (f *finder) text(n ast.Node) string { return f.source[f.offset(n.Pos()):f.offset(n.End())] }

// changed returns the source with the edits.
func (f *finder) changed() string {
	slices.SortStableFunc(f.edits, func(a, b edit) int { return cmp.Compare(a.at, b.at) })
	var b strings.Builder
	at := 0
	for _, e := range f.edits {
		b.WriteString(f.source[at:e.at] + e.text)
		at = e.at + e.over
	}
	b.WriteString(f.source[at:])
	return b.String()
}

// refuses reports whether the statements end in a refusal.
func (f *finder) refuses(body []ast.Stmt, results []*ast.Field) bool {
	if slices.ContainsFunc(body, f.setsVerdict) {
		return true
	}
	for _, s := range slices.Backward(body) {
		switch s := s.(type) {
		case *ast.ReturnStmt:
			if len(s.Results) > 0 {
				return f.refusal(s, results)
			}
		case *ast.AssignStmt:
			return slices.ContainsFunc(s.Rhs, f.makesError)
		case *ast.ExprStmt:
			name := called(s.X)
			return name == "judge" || name == "skip"
		default:
			return false
		}
	}
	return false
}

// refusal reports whether a return refuses.
func (f *finder) refusal(s *ast.ReturnStmt, results []*ast.Field) bool {
	for i, r := range results {
		value := s.Results[0] // the results of a call
		if len(s.Results) == len(results) {
			value = s.Results[i]
		}
		text := f.text(value)
		refuses := false
		switch kind := f.text(r.Type); {
		case kind == "error", kind == "protocol.Code":
			refuses = text != "nil" && text != "protocol.CodeNone"
		case kind == "bool" && len(r.Names) == 1 && r.Names[0].Name == "ok":
			refuses = text == "false"
		case kind == "lifecycle.Event":
			refuses = strings.Contains(text, "EventAborted") || strings.Contains(text, "CommitRefused") || strings.Contains(text, "CommitUnknown")
		}
		if refuses {
			return true
		}
	}
	return false
}

// setsVerdict reports whether a statement sets the verdict of a report.
func (f *finder) setsVerdict(s ast.Stmt) bool {
	a, ok := s.(*ast.AssignStmt)
	return ok && slices.ContainsFunc(a.Lhs, func(e ast.Expr) bool {
		to, ok := e.(*ast.SelectorExpr)
		return ok && to.Sel.Name == "Verdict"
	})
}

// makers are the functions that make a refusal.
var makers = []string{"Fail", "Failf", "Wrap", "Because", "New", "Errorf", "errSealed"}

func (f *finder) makesError(e ast.Expr) bool {
	name := called(e)
	return slices.Contains(makers, name) && (name != "New" || strings.HasPrefix(f.text(e), "errors."))
}

// ends reports whether a return is the last statement of a function, or of the default of
// its last switch, and makes an error that other paths do not return.
func (f *finder) ends(s *ast.ReturnStmt, results []*ast.Field, in []ast.Node) bool {
	if len(s.Results) == 0 || len(results) == 0 || f.text(results[len(results)-1].Type) != "error" || !f.makesError(s.Results[len(s.Results)-1]) {
		return false
	}
	body := bodyOf(in)
	if body == nil || len(body.List) < 2 && !hasSwitch(body) {
		return false
	}
	last := body.List[len(body.List)-1]
	if last == ast.Stmt(s) {
		return true
	}
	over, ok := last.(*ast.SwitchStmt)
	clause, within := in[len(in)-1].(*ast.CaseClause)
	return ok && within && clause.List == nil && slices.Contains(over.Body.List, ast.Stmt(clause))
}

// passedOn returns what was assigned to the err or the ok that a condition is about, ""
// for another condition.
func (f *finder) passedOn(s *ast.IfStmt, in []ast.Node) string {
	var about ast.Expr
	switch c := s.Cond.(type) {
	case *ast.UnaryExpr:
		about = c.X
	case *ast.BinaryExpr:
		if f.text(c.Y) == "nil" {
			about = c.X
		}
	}
	before := s.Init
	if block, ok := in[len(in)-1].(*ast.BlockStmt); ok && before == nil {
		if i := slices.Index(block.List, ast.Stmt(s)); i > 0 {
			before = block.List[i-1]
		}
	}
	a, ok := before.(*ast.AssignStmt)
	if !ok || about == nil || len(a.Rhs) != 1 || !slices.ContainsFunc(a.Lhs, func(e ast.Expr) bool { return f.text(e) == f.text(about) }) {
		return ""
	}
	return f.text(a.Rhs[0])
}

// isRead reports whether a call only connects to the database or reads one row of it.
func isRead(call string) bool {
	return strings.HasPrefix(call, "rows.Scan(") || strings.HasSuffix(call, ".connect()")
}

// resultsOf returns one field for each result of the innermost function.
func resultsOf(in []ast.Node) (all []*ast.Field) {
	for _, n := range slices.Backward(in) {
		var fn *ast.FuncType
		switch n := n.(type) {
		case *ast.FuncDecl:
			fn = n.Type
		case *ast.FuncLit:
			fn = n.Type
		default:
			continue
		}
		if fn.Results == nil {
			return nil
		}
		for _, field := range fn.Results.List {
			all = append(all, &ast.Field{Names: field.Names[:min(1, len(field.Names))], Type: field.Type})
			for _, name := range field.Names[min(1, len(field.Names)):] {
				all = append(all, &ast.Field{Names: []*ast.Ident{name}, Type: field.Type})
			}
		}
		return all
	}
	return nil
}

// bodyOf returns the body of the innermost function.
func bodyOf(in []ast.Node) *ast.BlockStmt {
	for _, n := range slices.Backward(in) {
		switch n := n.(type) {
		case *ast.FuncDecl:
			return n.Body
		case *ast.FuncLit:
			return n.Body
		}
	}
	return nil
}

// isLast reports whether a statement is the last of its function.
func isLast(s ast.Stmt, in []ast.Node) bool {
	body := bodyOf(in)
	return body != nil && body.List[len(body.List)-1] == s
}

func hasSwitch(b *ast.BlockStmt) bool {
	return slices.ContainsFunc(b.List, func(s ast.Stmt) bool { _, ok := s.(*ast.SwitchStmt); return ok })
}

// called returns the name of the function that an expression calls, "" if it calls none.
func called(e ast.Expr) string {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return ""
	}
	switch fn := call.Fun.(type) {
	case *ast.Ident:
		return fn.Name
	case *ast.SelectorExpr:
		return fn.Sel.Name
	}
	return ""
}

func paren(e ast.Expr) ast.Expr {
	if p, ok := e.(*ast.ParenExpr); ok {
		return p.X
	}
	return nil
}

func isOp(e ast.Expr, op token.Token) bool {
	b, ok := e.(*ast.BinaryExpr)
	return ok && b.Op == op
}

// hasOr reports whether an expression of conditions contains an or.
func hasOr(e ast.Expr) bool {
	switch {
	case paren(e) != nil:
		return hasOr(paren(e))
	case isOp(e, token.LOR):
		return true
	case isOp(e, token.LAND):
		b := e.(*ast.BinaryExpr)
		return hasOr(b.X) || hasOr(b.Y)
	}
	return false
}
