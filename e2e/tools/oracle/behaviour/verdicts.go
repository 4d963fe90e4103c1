package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/argoproj/argo-rollouts/utils/evaluate"
	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/sirupsen/logrus"
)

var nan, inf = math.NaN(), math.Inf(1)

// results are what providers measure: a number, a vector of samples, or JSON.
var results = append([]any{
	0.0, 1.0, 3.0, 0.97, -0.5, 1e6, nan, inf, -inf,
	[]float64{}, []float64{0}, []float64{1}, []float64{0.97}, []float64{0.03}, []float64{3}, []float64{5}, []float64{-1}, []float64{nan}, []float64{inf},
	[]float64{1, 5}, []float64{1, 5, 9}, []float64{0.97, 0.99}, []float64{nan, 1}, []float64{1, nan}, []float64{9, 5, 1, 5},
}, fromJSON(
	`null`, `true`, `false`, `3`, `0.97`, `"up"`, `"true"`, `"3"`, `""`, `[]`, `[1, 5, 9]`, `["a", "b"]`, `{}`, `[{"name": "a", "value": 1}, {"name": "b", "value": 7}]`,
	`{"ok": true, "rate": 0.99, "count": 3, "text": "42", "name": "web", "list": "a,b", "items": [{"name": "a", "value": 1}, {"name": "b", "value": 7}], "tags": {"env": "prod"}, "nothing": null}`,
	`{"ok": false, "rate": 0.5, "count": 0, "text": "x", "name": "api", "list": "", "items": [], "tags": {}, "nothing": 1}`,
	`{"status": 200, "major": "1", "minor": "34"}`, `{"ok": "true", "rate": "0.99", "items": null, "tags": null}`, `[null, 1]`, `[[1, 2], [3]]`,
	`{"code": 200, "body": "ok", "ok": true, "successPercent": "0.95", "data": [{"ok": true, "ms": 20}, {"ok": false, "ms": 300}]}`, `{"code": 503, "body": "", "ok": false, "successPercent": "none", "data": []}`,
	`[{"Id": "rate", "Values": [0.01, 0.02]}, {"Id": "worst", "Values": [0.04]}]`, `[{"Id": "rate", "Values": []}, {"Id": "worst", "Values": [0.06]}]`, `{"service_apdex": {"values": {"values": [{"value": 9900}, {"value": 10000}]}}}`,
)...)

func fromJSON(texts ...string) []any {
	var values []any
	for _, text := range texts {
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			panic(err)
		}
		values = append(values, value)
	}
	return values
}

// verdictRow has one letter for each result: Successful, Failed, Inconclusive,
// Error, or N for the error that says that there was no data.
type verdictRow struct {
	Success string `json:"success,omitempty"`
	Failure string `json:"failure,omitempty"`
	Go      string `json:"go"`
	// Differs has the letters of Tidegate by the number of the deliberate
	// difference; a dot is where it does not apply.
	Differs map[string]string `json:"differs,omitempty"`
}

func printVerdicts(out io.Writer) error {
	var values, rows []any
	for _, result := range results {
		values = append(values, written(result))
	}
	all := append(append(append([]string{}, conditions...), costly...), unserved...)
	seen := map[string]bool{}
	for _, condition := range all {
		if seen[condition] {
			continue
		}
		seen[condition] = true
		if condition == "" {
			rows = append(rows, judge("", ""))
			continue
		}
		rows = append(rows, judge(condition, ""), judge("", condition))
	}
	for _, pair := range pairs {
		rows = append(rows, judge(pair[0], pair[1]))
	}
	return printSections(out, section{"results", values}, section{"verdicts", rows})
}

func judge(success, failure string) verdictRow {
	row := verdictRow{Success: success, Failure: failure}
	masks := map[string][]byte{}
	for i, result := range results {
		letter := ask(success, failure, result)
		row.Go += string(letter)
		number, here := differ(success, failure, result, letter)
		if here == letter {
			continue
		}
		if masks[number] == nil {
			masks[number] = []byte(strings.Repeat(".", len(results)))
		}
		masks[number][i] = here
	}
	for number, mask := range masks {
		if row.Differs == nil {
			row.Differs = map[string]string{}
		}
		row.Differs[number] = string(mask)
	}
	return row
}

func ask(success, failure string, result any) byte {
	metric := v1alpha1.Metric{SuccessCondition: success, FailureCondition: failure}
	phase, err := evaluate.EvaluateResult(result, metric, *logrus.NewEntry(logrus.StandardLogger()))
	switch {
	case err != nil && strings.Contains(err.Error(), "no data returned"):
		return 'N'
	default:
		return phase[0]
	}
}

// differ gives the letter that Tidegate gives on purpose, and the number of the reason.
func differ(success, failure string, result any, letter byte) (string, byte) {
	number := ""
	for _, condition := range []string{success, failure} {
		if listed(costly, condition) {
			return costIsBounded, 'E'
		}
		if listed(unserved, condition) {
			if strings.Contains(condition, ";") && isEmpty(result) {
				return unservedFunctions, 'N'
			}
			return unservedFunctions, 'E'
		}
	}
	if samples, ok := result.([]float64); ok && len(samples) == 1 {
		indexed := func(condition string) string {
			if other, ok := alone[condition]; ok {
				return other
			}
			return condition
		}
		success, failure := indexed(success), indexed(failure)
		if other := ask(success, failure, result); other != letter {
			number, letter = oneSampleIsANumber, other
		}
	}
	if isEmpty(result) && (letter == 'E' || letter == 'N') && !strict(success, result) && !strict(failure, result) {
		other := askLate(success, failure, result)
		switch {
		case other == letter:
		case other == 'E' && !misfit(success, result) && !misfit(failure, result):
			number, letter = missingDataIsTold, other
		case result == nil:
			// Without a result there is no type to compare before: a condition may ask for one first.
			number, letter = typesAreSeenLate, other
		}
	}
	if onNothing(success, result) || onNothing(failure, result) || isNaN(result) && letter == 'F' && strings.Contains(success+failure, "sort") {
		if letter == 'S' {
			return missingDataNeverPasses, 'E'
		}
		return missingDataIsTold, 'E'
	}
	deciding := success
	if deciding == "" {
		deciding = failure
	}
	switch {
	case letter == 'S' && isEmpty(result):
		return missing(deciding, number, letter, 'N', "len", "default", "isNil")
	case letter == 'S' && (strings.Contains(deciding, "0.0 / 0.0") || dividesByNone(deciding, result)):
		return missingDataNeverPasses, 'E'
	case letter == 'S' && isNaN(result):
		return missing(deciding, number, letter, 'E', "isNaN")
	default:
		return number, letter
	}
}

func isEmpty(result any) bool {
	switch value := result.(type) {
	case nil:
		return true
	case []any:
		return len(value) == 0
	case []float64:
		return len(value) == 0
	}
	return false
}

func isNaN(result any) bool {
	switch value := result.(type) {
	case float64:
		return value != value
	case []float64:
		for _, sample := range value {
			if sample != sample {
				return true
			}
		}
	}
	return false
}

// ofLists are things that Tidegate, too, does with lists only; Go does them with texts and maps as well
// once it does not know the type before.
var (
	ofLists = regexp.MustCompile(`\b(all|any|none|one|count|filter|sum|map|reduce|find|findIndex|findLast|findLastIndex|groupBy|sortBy|first|last|get)\(`)
	ofPlace = regexp.MustCompile(`result\[-?\d+(\.5)?\]`)
	decided = regexp.MustCompile(`^(true \|\||false &&|len\(result\) == 2 &&)`)
)

// strict is whether a condition fails in Tidegate as it does in Argo Rollouts, although types are
// compared late.
func strict(condition string, result any) bool {
	if leftDecides(condition, result) {
		return false
	}
	switch value := result.(type) {
	case []float64:
		_, single := alone[condition]
		return single && len(value) != 1 || strings.Contains(condition, "[0.5]")
	case []any:
		return strings.Contains(condition, "[0.5]")
	case string:
		return ofLists.MatchString(condition) || value != "" && ofPlace.MatchString(condition) && !decided.MatchString(condition)
	case nil:
		return ofLists.MatchString(condition) && !strings.Contains(condition, "foo") || strings.HasSuffix(condition, " in result")
	}
	return ofLists.MatchString(condition)
}

// late is what a condition sees when it knows nothing of the result before it runs.
type late struct {
	Result  any                `expr:"result"`
	AsInt   func(any) int64    `expr:"asInt"`
	AsFloat func(any) float64  `expr:"asFloat"`
	IsNaN   func(float64) bool `expr:"isNaN"`
	IsInf   func(float64) bool `expr:"isInf"`
	IsNil   func(any) bool     `expr:"isNil"`
	Default func(any, any) any `expr:"default"`
}

// askLate judges as Argo Rollouts does, but compares types only as the conditions run.
// A condition that is at fault itself gives E, also without data.
func askLate(success, failure string, result any) byte {
	verdict := func(condition string, otherwise byte) byte {
		if condition == "" {
			return otherwise
		}
		env := late{
			Result: result,
			IsNaN:  math.IsNaN, IsInf: func(number float64) bool { return math.IsInf(number, 0) },
			IsNil: func(any) bool { return result == nil },
			Default: func(_, other any) any {
				if result == nil {
					return other
				}
				return result
			},
			AsInt:   func(value any) int64 { return int64(numberOf(value)) },
			AsFloat: numberOf,
		}
		program, err := expr.Compile(condition, expr.Env(env))
		if err != nil {
			// A fault that is found without the result is told whatever the result is.
			named := strings.Contains(err.Error(), "unknown name") || strings.Contains(err.Error(), "cannot be mixed") || strings.Contains(condition, "AND")
			if isEmpty(result) && !named && !unbalanced(condition) && !strings.Contains(condition, "..x") {
				return 'N'
			}
			return 'E'
		}
		output, err := expr.Run(program, env)
		if err != nil {
			if isEmpty(result) {
				return 'N'
			}
			return 'E'
		}
		switch output {
		case true:
			return 'T'
		case false:
			return 'F'
		}
		return 'E'
	}
	failed := verdict(failure, '-')
	succeeded := verdict(success, '-')
	switch {
	case failed == 'E' || failed == 'N':
		return failed
	case succeeded == 'E' || succeeded == 'N':
		return succeeded
	case failed == 'T', succeeded == 'F' && failed == '-':
		return 'F'
	case succeeded == 'F':
		return 'I'
	}
	return 'S'
}

// misfit is whether nothing but the type of a result that is there speaks against a condition.
func misfit(condition string, result any) bool {
	if condition == "" || result == nil {
		return false
	}
	known := map[string]any{
		"result": result, "asInt": func(any) int64 { return 0 }, "asFloat": func(any) float64 { return 0 },
		"isNaN": math.IsNaN, "isInf": math.IsNaN, "isNil": func(any) bool { return false }, "default": func(any, any) any { return nil },
	}
	_, early := expr.Compile(condition, expr.Env(known))
	_, lately := expr.Compile(condition, expr.Env(late{}))
	return early != nil && lately == nil
}

func unbalanced(condition string) bool {
	condition = regexp.MustCompile(`"[^"]*"`).ReplaceAllString(condition, "")
	for _, pair := range []string{"()", "[]", "{}"} {
		if strings.Count(condition, pair[:1]) != strings.Count(condition, pair[1:]) {
			return true
		}
	}
	return strings.Contains(condition, "{{")
}

func numberOf(value any) float64 {
	if text, ok := value.(string); ok {
		number, err := strconv.ParseFloat(text, 64)
		if err != nil {
			panic(err)
		}
		return number
	}
	return value.(float64)
}

var operands = []*regexp.Regexp{
	regexp.MustCompile(`(result(?:\.\w+)+) (?:not )?(?:contains|startsWith|endsWith|matches) `),
	regexp.MustCompile(` in (result(?:\.\w+)+)$`),
}

// onNothing is whether a condition looks for something in a field that the answer lacks.
func onNothing(condition string, result any) bool {
	if leftDecides(condition, result) {
		return false
	}
	for _, operand := range operands {
		if found := operand.FindStringSubmatch(condition); found != nil {
			if nothing, err := evaluate.EvalCondition(result, found[1]+" == nil"); err == nil && nothing {
				return true
			}
		}
	}
	return false
}

// leftDecides is whether what stands before && is false, so that nobody asks what stands behind it.
func leftDecides(condition string, result any) bool {
	left, _, found := strings.Cut(condition, " && ")
	return found && !strings.Contains(left, "||") && !strict(left, result) && !onNothing(left, result) && askLate(left, "", result) == 'F'
}

var byCount = regexp.MustCompile(`/ (len\([^()]*\))`)

// dividesByNone is whether a condition divides by the number of things where there are none.
func dividesByNone(condition string, result any) bool {
	found := byCount.FindStringSubmatch(condition)
	if found == nil {
		return false
	}
	none, err := evaluate.EvalCondition(result, found[1]+" == 0")
	return err == nil && none
}

// missing turns a success that rests on missing data into an error, unless the
// condition calls one of the functions that ask for it.
func missing(condition, number string, letter, instead byte, functions ...string) (string, byte) {
	if condition != "" {
		tree, err := parser.Parse(condition)
		if err != nil {
			panic(fmt.Sprintf("%q succeeded and does not parse: %v", condition, err))
		}
		calls := &calls{names: map[string]bool{}}
		ast.Walk(&tree.Node, calls)
		for _, function := range functions {
			if calls.names[function] {
				return number, letter
			}
		}
	}
	return missingDataNeverPasses, instead
}

// calls collects the names of the functions that an expression calls.
type calls struct{ names map[string]bool }

func (c *calls) Visit(node *ast.Node) {
	switch node := (*node).(type) {
	case *ast.BuiltinNode:
		c.names[node.Name] = true
	case *ast.CallNode:
		if callee, ok := node.Callee.(*ast.IdentifierNode); ok {
			c.names[callee.Value] = true
		}
	}
}

func listed(list []string, text string) bool {
	for _, one := range list {
		if one == text {
			return true
		}
	}
	return false
}

// written says of which kind a result is; JSON has no NaN, so numbers are texts.
func written(result any) any {
	number := func(value float64) string { return strconv.FormatFloat(value, 'g', -1, 64) }
	switch value := result.(type) {
	case float64:
		return map[string]any{"number": number(value)}
	case []float64:
		samples := []string{}
		for _, sample := range value {
			samples = append(samples, number(sample))
		}
		return map[string]any{"samples": samples}
	default:
		return map[string]any{"json": value}
	}
}
