package access

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	exprfile "github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

// Bounds of an expression. With those of a payload they bound the time that a message
// takes: each node is evaluated at most once for each value in the payload.
const (
	maxExpression = 1000 // bytes
	maxNodes      = 200
	maxRegexp     = 200     // steps for each byte, of all patterns together
	maxName       = 1 << 10 // bytes of the topic, the user name and the client id
	maxElements   = 100_000 // of the lists that are made while evaluating
)

// Expression is a condition on a message, in the language of github.com/expr-lang/expr:
//
//	payload.temperature > -40 && payload.temperature < 85
//	payload.user == user
//	text in ["ON", "OFF"]
//	all(payload.readings, .value != nil)
//
// It sees
//
//	payload  the payload as a JSON value; numbers are of 64-bit floating point
//	text     the payload as it is
//	topic    the topic name
//	user     the user name, empty if there is none
//	client   the client id
//	qos      of the message, as published
//	retain   of the message, as published
//
// Of the language there are comparisons, arithmetic with + - * / %, in, contains,
// startsWith, endsWith, matches with a pattern that is written out, ?: ?? and ?., and the
// functions in [functions]. In a loop such as all(…) only the element can be looked at,
// not the payload, so that the time does not grow with the square of its size. A
// result that is neither true nor false is an error: a value that is missing is
// nil, and nil > 5 is an error too.
type Expression struct {
	text    string
	payload bool // it says payload
	program *vm.Program
}

// message is what an expression sees.
type message struct {
	Payload any    `expr:"payload"`
	Text    string `expr:"text"`
	Topic   string `expr:"topic"`
	User    string `expr:"user"`
	Client  string `expr:"client"`
	QoS     int    `expr:"qos"`
	Retain  bool   `expr:"retain"`
}

// functions are those that take a time no longer than what they are given.
var functions = []string{
	"all", "any", "one", "none", "count", "filter", // loops
	"len", "abs", "ceil", "floor", "round", "int", "float", "min", "max",
	"lower", "upper", "trim", "keys", "values", "first", "last", "type",
}

var operators = []string{
	"==", "!=", "<", ">", "<=", ">=", "&&", "||", "and", "or", "in", "+", "-", "*", "/", "%",
	"contains", "startsWith", "endsWith", "matches", "??",
}

// newExpression compiles an expression. The error says what is wrong with it.
func newExpression(text string) (*Expression, error) {
	if len(text) > maxExpression {
		return nil, fmt.Errorf("an expression has at most %d bytes", maxExpression)
	}
	tree, err := parser.Parse(text)
	if err != nil {
		return nil, oneLine(err)
	}
	var c checker
	ast.Walk(&tree.Node, &c)
	if c.err != nil {
		return nil, c.err
	}
	if c.nodes > maxNodes {
		return nil, fmt.Errorf("an expression has at most %d names, values and operators", maxNodes)
	}
	if _, err := expr.Compile(text, expr.Env(message{}), expr.AsBool()); err != nil {
		return nil, oneLine(err)
	}
	// A program that is to be of truth makes false of nil. Here that is an error.
	program, err := expr.Compile(text, expr.Env(message{}), expr.AsAny())
	if err != nil {
		return nil, oneLine(err)
	}
	return &Expression{text, c.payload, program}, nil
}

// oneLine leaves of an error what is wrong and where: expr shows the place with a
// second and a third line.
func oneLine(err error) error {
	if e, ok := errors.AsType[*exprfile.Error](err); ok {
		return fmt.Errorf("%s at column %d", e.Message, e.Column+1)
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(first)
}

// checker finds in a syntax tree what is not taken.
type checker struct {
	nodes   int
	steps   int  // of patterns
	payload bool // is said
	loop    bool
	err     error
}

func (c *checker) refuse(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

// Visit is called for a node after what is below it.
func (c *checker) Visit(node *ast.Node) {
	c.nodes++
	switch n := (*node).(type) {
	case *ast.NilNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.StringNode,
		*ast.ArrayNode, *ast.ConditionalNode, *ast.ChainNode, *ast.MemberNode, *ast.SliceNode:
	case *ast.IdentifierNode:
		c.payload = c.payload || n.Value == "payload"
		switch {
		case c.loop && (n.Value == "payload" || n.Value == "text"):
			c.refuse("in a loop there is only the element, #, not %s", n.Value)
		case n.Value == "$env":
			c.refuse("there is no $env")
		}
	case *ast.UnaryNode:
		if !slices.Contains([]string{"!", "not", "-", "+"}, n.Operator) {
			c.refuse("there is no operator %s", n.Operator)
		}
	case *ast.BinaryNode:
		if !slices.Contains(operators, n.Operator) {
			c.refuse("there is no operator %s; there are %s", n.Operator, strings.Join(operators, " "))
		}
		if n.Operator == "matches" {
			c.pattern(n.Right)
		}
	case *ast.BuiltinNode:
		if !slices.Contains(functions, n.Name) {
			c.refuse("there is no function %s; there are %s", n.Name, strings.Join(functions, " "))
		}
	case *ast.PredicateNode:
		if c.loop {
			c.refuse("there is no loop in a loop")
			return
		}
		body := checker{loop: true}
		ast.Walk(&n.Node, &body)
		if body.err != nil {
			c.refuse("%w", body.err)
		}
	case *ast.PointerNode:
		if n.Name != "" {
			c.refuse("there is no #%s", n.Name)
		}
	case *ast.CallNode:
		name := "that is called"
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok {
			name = callee.Value
		}
		c.refuse("there is no function %s; there are %s", name, strings.Join(functions, " "))
	default: // let, ;, maps, bytes
		c.refuse("an expression is one condition of values, operators and functions")
	}
}

// pattern checks a regular expression. Go takes a time of its steps for each byte of the text.
func (c *checker) pattern(node ast.Node) {
	s, ok := node.(*ast.StringNode)
	if !ok {
		c.refuse("the pattern of matches must be written out in quotes")
		return
	}
	if _, err := regexp.Compile(s.Value); err != nil {
		c.refuse("%w", err)
		return
	}
	steps, err := patternSteps(s.Value)
	if c.steps += steps; err != nil || c.steps > maxRegexp {
		c.refuse("the pattern %.40q is too large", s.Value)
	}
}

// patternSteps returns the size of a regular expression when compiled.
func patternSteps(text string) (int, error) {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return 0, err
	}
	p, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, err
	}
	return len(p.Inst), nil
}

// holds reports whether the expression holds for a message.
func (e *Expression) holds(m *examined) truth {
	if len(m.payload) > maxContent || max(len(m.topic), len(m.id.User), len(m.id.ClientID)) > maxName {
		return unknown
	}
	env := message{
		Text: string(m.payload), Topic: m.topic, User: m.id.User, Client: m.id.ClientID,
		QoS: int(m.qos), Retain: m.retain,
	}
	if e.payload {
		c, err := m.json()
		if err != nil {
			return unknown
		}
		env.Payload = c.value
	}
	machine := vm.VM{MemoryBudget: maxElements}
	v, err := machine.Run(e.program, env)
	if b, ok := v.(bool); ok && err == nil {
		return truthOf(b)
	}
	return unknown
}
