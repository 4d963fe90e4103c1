package main

import (
	"encoding/json"
	"io"
	"reflect"
	"strings"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/argoproj/argo-rollouts/utils/analysis"
	template "github.com/argoproj/argo-rollouts/utils/template"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	runRows    = 300
	fillRows   = 300
	metricRows = 400
)

// runRow is templates and arguments, and the AnalysisRun that they make.
type runRow struct {
	Templates []v1alpha1.AnalysisTemplateSpec `json:"templates,omitempty"`
	Cluster   []v1alpha1.AnalysisTemplateSpec `json:"cluster,omitempty"`
	Args      []v1alpha1.Argument             `json:"args,omitempty"`
	DryRun    []v1alpha1.DryRun               `json:"dryRun,omitempty"`
	Retention []v1alpha1.MeasurementRetention `json:"retention,omitempty"`
	// Go is the spec of the run, or Error why there is none.
	Go    *runSpec `json:"go,omitempty"`
	Error string   `json:"error,omitempty"`
	// Differs is the number of a deliberate difference, with the spec that Tidegate makes.
	Differs int      `json:"differs,omitempty"`
	Here    *runSpec `json:"here,omitempty"`
}

// runSpec is the spec of a run with the names of its metrics only.
type runSpec struct {
	Metrics              []string                        `json:"metrics"`
	Args                 []v1alpha1.Argument             `json:"args,omitempty"`
	DryRun               []v1alpha1.DryRun               `json:"dryRun,omitempty"`
	MeasurementRetention []v1alpha1.MeasurementRetention `json:"measurementRetention,omitempty"`
}

// fillRow is a query with arguments filled in.
type fillRow struct {
	Query string              `json:"query"`
	Args  []v1alpha1.Argument `json:"args"`
	Go    filled              `json:"go"`
	// Differs is the number of a deliberate difference, with what Tidegate makes of it.
	Differs int     `json:"differs,omitempty"`
	Here    *filled `json:"here,omitempty"`
}

// filled is a text; or an error, without its words where those depend on which
// of several faults is found first.
type filled struct {
	Text  *string `json:"text,omitempty"`
	Error string  `json:"error,omitempty"`
}

// metricRow is a list of metrics and the first thing that is wrong with it.
type metricRow struct {
	Metrics []v1alpha1.Metric `json:"metrics"`
	Error   string            `json:"error"`
}

func printRuns(out io.Writer) error {
	dice := newDice(13)
	var runs, fills, metrics, worst []any
	for range runRows {
		runs = append(runs, randomRun(dice))
	}
	for range fillRows {
		fills = append(fills, randomFill(dice))
	}
	for range metricRows {
		metrics = append(metrics, randomMetrics(dice))
	}
	phases := []v1alpha1.AnalysisPhase{"Pending", "Running", "Successful", "Failed", "Error", "Inconclusive"}
	for _, left := range phases {
		for _, right := range phases {
			worst = append(worst, []v1alpha1.AnalysisPhase{left, right, analysis.Worst(left, right)})
		}
	}
	return printSections(out, section{"runs", runs}, section{"fills", fills}, section{"metrics", metrics}, section{"worst", worst})
}

func randomRun(d dice) runRow {
	var row runRow
	for range 1 + d.Intn(2) {
		row.Templates = append(row.Templates, randomTemplate(d))
	}
	for range d.Intn(2) {
		row.Cluster = append(row.Cluster, randomTemplate(d))
	}
	for range d.Intn(4) {
		row.Args = append(row.Args, randomArgument(d, false))
	}
	if d.rarely(4) {
		row.DryRun = []v1alpha1.DryRun{{MetricName: pick(d, "a", "b", ".*")}}
	}
	if d.rarely(4) {
		row.Retention = []v1alpha1.MeasurementRetention{{MetricName: pick(d, "a", "b", ".*"), Limit: 20}}
	}
	var templates []*v1alpha1.AnalysisTemplate
	for i := range row.Templates {
		templates = append(templates, &v1alpha1.AnalysisTemplate{ObjectMeta: metav1.ObjectMeta{Name: "t"}, Spec: row.Templates[i]})
	}
	var cluster []*v1alpha1.ClusterAnalysisTemplate
	for i := range row.Cluster {
		cluster = append(cluster, &v1alpha1.ClusterAnalysisTemplate{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Spec: row.Cluster[i]})
	}
	run, err := analysis.NewAnalysisRunFromTemplates(templates, cluster, row.Args, row.DryRun, row.Retention, nil, nil, "run", "", "default")
	if err != nil {
		row.Error = err.Error()
	} else {
		row.Go = &runSpec{Args: run.Spec.Args, DryRun: run.Spec.DryRun, MeasurementRetention: run.Spec.MeasurementRetention}
		for _, metric := range run.Spec.Metrics {
			row.Go.Metrics = append(row.Go.Metrics, metric.Name)
		}
		if args := replaced(run.Spec.Args, row.Args); !reflect.DeepEqual(args, run.Spec.Args) {
			here := *row.Go
			here.Args = args
			row.Differs, row.Here = givenArgumentsReplace, &here
		}
	}
	return row
}

// replaced has only what came in last for an argument, where anything came in.
func replaced(merged, given []v1alpha1.Argument) []v1alpha1.Argument {
	var args []v1alpha1.Argument
	for _, argument := range merged {
		for _, one := range given {
			if one.Name == argument.Name {
				argument.Value, argument.ValueFrom = one.Value, one.ValueFrom
			}
		}
		args = append(args, argument)
	}
	return args
}

func randomTemplate(d dice) v1alpha1.AnalysisTemplateSpec {
	var spec v1alpha1.AnalysisTemplateSpec
	for range 1 + d.Intn(2) {
		spec.Metrics = append(spec.Metrics, v1alpha1.Metric{
			Name:     pick(d, "a", "b", "c", "d", "e", "f", "g"),
			Provider: v1alpha1.MetricProvider{Prometheus: &v1alpha1.PrometheusMetric{Query: "up"}},
		})
	}
	for range d.Intn(3) {
		spec.Args = append(spec.Args, randomArgument(d, true))
	}
	if d.rarely(5) {
		spec.DryRun = []v1alpha1.DryRun{{MetricName: pick(d, "a", "b", ".*")}}
	}
	if d.rarely(5) {
		spec.MeasurementRetention = []v1alpha1.MeasurementRetention{{MetricName: pick(d, "a", "b", ".*"), Limit: int32(d.Intn(9))}}
	}
	return spec
}

func randomArgument(d dice, declared bool) v1alpha1.Argument {
	argument := v1alpha1.Argument{Name: pick(d, "service", "port", "token")}
	value := pick(d, "web", "api", "")
	switch d.Intn(4) {
	case 0:
		argument.ValueFrom = &v1alpha1.ValueFrom{SecretKeyRef: &v1alpha1.SecretKeyRef{Name: pick(d, "s", "t"), Key: "k"}}
	case 1:
		if declared {
			return argument
		}
		argument.Value = &value
	default:
		argument.Value = &value
	}
	return argument
}

func randomFill(d dice) fillRow {
	texts := []string{
		"up", "{{args.service}}", "{{ args.service }}", "{{args.service }}", "up{service=\"{{args.service}}\"}", "{{args.port}}{{args.service}}", "{{{args.service}}}", "{{args.missing}}", "{{ args.missing }}", "{{service}}", "{{}}", "{{ }}",
		"{{args.service", "args.service}}", "{args.service}", "{{args.service}} {{", "}} {{args.port}}", "{{args.Service}}", "{{args.my-arg}}", "{{args['service']}}", "{{args.service|upper}}", "{{\nargs.service\n}}", "a}}b{{args.port}}", "sum(rate(x{a=~\"{{args.service}}.*\"}[5m]))",
	}
	row := fillRow{Query: pick(d, texts...), Args: []v1alpha1.Argument{}}
	if d.rarely(3) {
		row.Query += pick(d, texts...)
	}
	for _, name := range []string{"service", "port", "my-arg"} {
		if d.rarely(6) {
			continue
		}
		value := pick(d, "web", "", "a\"b", "a\\b", "line\nend", "tab\t", "é", "😀", "\u0001", "\u007f", "<&>", "{{args.port}}", "a'b", "\u2028", "100%", "/path?x=1")
		argument := v1alpha1.Argument{Name: name, Value: &value}
		if d.rarely(25) {
			argument.Value = nil
		}
		row.Args = append(row.Args, argument)
	}
	metric := v1alpha1.Metric{Name: "m", Provider: v1alpha1.MetricProvider{Prometheus: &v1alpha1.PrometheusMetric{Query: row.Query}}}
	row.Go = fill(row.Query, func() (string, error) {
		filled, err := analysis.ResolveMetricArgs(metric, row.Args)
		if err != nil {
			return "", err
		}
		return filled.Provider.Prometheus.Query, nil
	})
	here := fill(row.Query, func() (string, error) { return template.ResolveArgs(row.Query, row.Args) })
	if !reflect.DeepEqual(here, row.Go) {
		row.Differs, row.Here = argumentsFillTexts, &here
	}
	return row
}

func fill(query string, fill func() (string, error)) filled {
	text, err := fill()
	if err == nil {
		return filled{Text: &text}
	}
	if strings.Count(query, "{{") > 1 || !strings.Contains(query, "}}") {
		return filled{}
	}
	return filled{Error: err.Error()}
}

func randomMetrics(d dice) metricRow {
	row := metricRow{Metrics: []v1alpha1.Metric{}}
	for i := range d.Intn(12)/5 + 1 {
		if i == 0 && d.rarely(60) {
			break
		}
		metric := v1alpha1.Metric{Name: pick(d, "a", "a", "b", "c", "d")}
		limit := func(oneIn int, from ...string) *intstr.IntOrString {
			if !d.rarely(oneIn) {
				return nil
			}
			value := intstr.Parse(pick(d, from...))
			return &value
		}
		metric.Count = limit(2, "1", "2", "5", "10", "0", "-1", "{{args.n}}")
		metric.FailureLimit = limit(3, "0", "1", "3", "-1", "-2", "x")
		metric.InconclusiveLimit = limit(5, "0", "2", "6", "-1")
		metric.ConsecutiveErrorLimit = limit(6, "0", "4", "-1")
		metric.ConsecutiveSuccessLimit = limit(4, "0", "1", "3", "-1")
		if d.rarely(2) {
			metric.Interval = pick(d, v1alpha1.DurationString("30s"), "1m", "1h30m", "1d", "5", "-5s", "1.5h", "", "1 m", "0", "300ms", "1µs", "x")
		}
		if d.rarely(5) {
			metric.InitialDelay = pick(d, v1alpha1.DurationString("30s"), "1y", "9", ".5s", "1h-2m")
		}
		if !d.rarely(12) {
			metric.Provider.Prometheus = &v1alpha1.PrometheusMetric{Query: "up"}
		}
		if d.rarely(12) {
			metric.Provider.Web = &v1alpha1.WebMetric{URL: "http://web"}
		}
		if d.rarely(20) {
			metric.Provider.Plugin = map[string]json.RawMessage{"a/b": json.RawMessage("{}")}
		}
		row.Metrics = append(row.Metrics, metric)
	}
	if err := analysis.ValidateMetrics(row.Metrics); err != nil {
		row.Error = err.Error()
	}
	return row
}
