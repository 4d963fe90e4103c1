package main

import (
	"io"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/argoproj/argo-rollouts/utils/replicaset"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const countRows = 3000

// size is a ReplicaSet as counting sees it.
type size struct{ spec, replicas, available int32 }

func (s size) row() []int32 { return []int32{s.spec, s.replicas, s.available} }

// countRow is one state of a canary and what Argo Rollouts makes of it.
type countRow struct {
	Replicas    int32               `json:"r"`
	Surge       *intstr.IntOrString `json:"surge,omitempty"`
	Unavailable *intstr.IntOrString `json:"away,omitempty"`
	// Steps has weights; null is a step of another kind.
	Steps []*int32 `json:"steps,omitempty"`
	Index *int32   `json:"at,omitempty"`
	// Routed is whether a router splits the traffic.
	Routed    bool                               `json:"routed,omitempty"`
	MaxWeight *int32                             `json:"max,omitempty"`
	MinPods   *int32                             `json:"minPods,omitempty"`
	Threshold *v1alpha1.ReplicaProgressThreshold `json:"threshold,omitempty"`
	Abort     bool                               `json:"abort,omitempty"`
	Full      bool                               `json:"full,omitempty"`
	// New, Stable and Others are [spec.replicas, status.replicas, available].
	New    []int32   `json:"new,omitempty"`
	Stable []int32   `json:"stable,omitempty"`
	Others [][]int32 `json:"others,omitempty"`
	// Go is what Argo Rollouts answers: the weight of the steps, the weight that
	// pods are counted for, pods of the new and of the stable ReplicaSet, and 1
	// where the pods for the step are there.
	Go answer `json:"go"`
	// Differs has the numbers of deliberate differences, and Here what Tidegate
	// answers because of them.
	Differs []int   `json:"differs,omitempty"`
	Here    *answer `json:"here,omitempty"`
}

type answer [5]int32

const (
	stepWeight = iota
	podWeight
	newPods
	stablePods
	there
)

func printCounts(out io.Writer) error {
	dice := newDice(11)
	var rows []any
	for range countRows {
		rows = append(rows, randomCountRow(dice))
	}
	return printSections(out, section{"counts", rows})
}

func randomCountRow(d dice) countRow {
	row := countRow{Replicas: pick(d, int32(d.Intn(12)), int32(d.Intn(4)), int32(d.Intn(120)))}
	if !d.rarely(5) {
		row.Surge = pick(d, number(d.Intn(4)), number(d.Intn(2)), percent(pick(d, "0%", "10%", "25%", "50%", "100%", "25")))
	}
	if !d.rarely(5) {
		row.Unavailable = pick(d, number(d.Intn(4)), number(d.Intn(2)), percent(pick(d, "0%", "10%", "25%", "33%", "100%", "5")))
	}
	if zero(row.Surge) && zero(row.Unavailable) {
		row.Surge = number(1)
	}
	row.Routed = d.rarely(3)
	highest := int32(100)
	if row.Routed {
		if d.rarely(4) {
			highest = pick(d, int32(1000), 10, 7)
			row.MaxWeight = &highest
		}
		if d.rarely(3) {
			minimum := int32(d.Intn(5))
			row.MinPods = &minimum
		}
	}
	if d.rarely(4) {
		row.Threshold = &v1alpha1.ReplicaProgressThreshold{Type: v1alpha1.ProgressTypePercentage, Value: int32(d.Intn(101))}
		if d.rarely(3) {
			row.Threshold = &v1alpha1.ReplicaProgressThreshold{Type: v1alpha1.ProgressTypePods, Value: int32(d.Intn(6))}
		}
	}
	for range d.Intn(5) {
		weight := pick(d, int32(d.Intn(int(highest)+1)), highest/2, highest/5, 0, highest)
		step := &weight
		if d.rarely(3) {
			step = nil
		}
		row.Steps = append(row.Steps, step)
	}
	if len(row.Steps) > 0 {
		index := int32(d.Intn(len(row.Steps) + 1))
		row.Index = &index
	}
	row.sizes(d)
	row.Full = d.rarely(12)
	// Without a stable revision there is nothing to go back to.
	row.Abort = d.rarely(6) && row.Stable != nil
	row.ask()
	return row
}

// sizes puts pods there, mostly as they are in the middle of an update.
func (row *countRow) sizes(d dice) {
	total := row.Replicas + int32(d.Intn(3))
	canary := int32(d.Intn(int(total) + 1))
	if !d.rarely(20) {
		row.New = around(d, canary).row()
	}
	if !d.rarely(8) {
		row.Stable = around(d, total-canary).row()
	}
	if d.rarely(4) {
		for range 1 + d.Intn(2) {
			row.Others = append(row.Others, around(d, int32(d.Intn(3))).row())
		}
	}
}

func around(d dice, spec int32) size {
	s := size{spec: spec, replicas: spec, available: spec}
	if d.rarely(2) {
		s.available = int32(d.Intn(int(spec) + 1))
	}
	if d.rarely(8) {
		s.replicas = max(0, spec+int32(d.Intn(5))-2)
		s.available = min(s.available, s.replicas)
	}
	return s
}

// ask lets Argo Rollouts count, and says where Tidegate differs on purpose.
func (row *countRow) ask() {
	row.Go = row.answer()
	here := row.Go
	if row.Abort && row.Full {
		// Whoever asks to stop is obeyed, also during a full promotion.
		stopped := *row
		stopped.Full = false
		here = stopped.answer()
		row.differ(abortDuringPromotion, here)
	}
	want := row.atTheEnd()
	here = row.unstuck(here, want)
	row.differ(stuckPodsMayGo, here)
	here[there] = row.arrived(want, row.Threshold)
	row.differ(stepsEndWithTheirCounts, here)
	if threshold := row.Threshold; threshold != nil && threshold.Type == v1alpha1.ProgressTypePods {
		here[there] = row.arrived(want, &v1alpha1.ReplicaProgressThreshold{Type: threshold.Type, Value: min(threshold.Value, want[newPods])})
		row.differ(thresholdIsCapped, here)
	}
}

// differ records what Tidegate answers, if that is another answer than before.
func (row *countRow) differ(number int, here answer) {
	before := row.Go
	if row.Here != nil {
		before = *row.Here
	}
	if here == before {
		return
	}
	row.Differs, row.Here = append(row.Differs, number), &here
}

// atTheEnd has the sizes at the end of the step: those for which Argo Rollouts
// asks when there are no pods at all.
func (row *countRow) atTheEnd() answer {
	empty := *row
	empty.Full = row.Full && !row.Abort
	empty.Others = nil
	if row.New != nil {
		empty.New = size{}.row()
	}
	if row.Stable != nil {
		empty.Stable = size{}.row()
	}
	return empty.answer()
}

// arrived is 1 when the pods are as they are wanted at the end of the step.
func (row *countRow) arrived(want answer, threshold *v1alpha1.ReplicaProgressThreshold) int32 {
	if row.Stable == nil || !replicaset.ReplicaProgressThresholdMet(threshold, set("new", row.New), want[newPods]) {
		return 0
	}
	if row.Stable[0] != want[stablePods] || row.Stable[1] != want[stablePods] {
		return 0
	}
	for _, other := range row.Others {
		if !row.Routed && other[2] > 0 {
			return 0
		}
	}
	return 1
}

// unstuck is the answer when pods that never became available may go although
// older ReplicaSets have pods left, once the surge is used up.
func (row *countRow) unstuck(known, want answer) answer {
	var others int32
	for _, other := range row.Others {
		others += other[0]
	}
	all := others + spec(row.New) + spec(row.Stable)
	if row.Routed || others == 0 || row.Replicas+replicaset.MaxSurge(row.rollout()) > all {
		return known
	}
	known[newPods] = withoutUnavailable(row.New, want[newPods], known[newPods])
	known[stablePods] = withoutUnavailable(row.Stable, want[stablePods], known[stablePods])
	return known
}

func withoutUnavailable(set []int32, want, known int32) int32 {
	if set == nil || set[0] <= want {
		return known
	}
	return max(want, min(set[0], set[2]))
}

func spec(set []int32) int32 {
	if set == nil {
		return 0
	}
	return set[0]
}

func (row *countRow) answer() answer {
	rollout := row.rollout()
	fresh, stable := set("new", row.New), set("stable", row.Stable)
	var others []*appsv1.ReplicaSet
	for _, other := range row.Others {
		others = append(others, set("other", other))
	}
	var a answer
	a[stepWeight] = replicaset.GetCurrentSetWeight(rollout)
	_, a[podWeight] = replicaset.GetCanaryReplicasOrWeight(rollout, fresh, stable)
	if row.Routed {
		a[newPods], a[stablePods] = replicaset.CalculateReplicaCountsForTrafficRoutedCanary(rollout, fresh, stable, nil)
	} else {
		a[newPods], a[stablePods] = replicaset.CalculateReplicaCountsForBasicCanary(rollout, fresh, stable, others)
	}
	if replicaset.AtDesiredReplicaCountsForCanary(rollout, fresh, stable, others, nil) {
		a[there] = 1
	}
	return a
}

func (row *countRow) rollout() *v1alpha1.Rollout {
	canary := &v1alpha1.CanaryStrategy{
		MaxSurge: row.Surge, MaxUnavailable: row.Unavailable,
		MinPodsPerReplicaSet: row.MinPods, ReplicaProgressThreshold: row.Threshold,
	}
	for _, weight := range row.Steps {
		step := v1alpha1.CanaryStep{SetWeight: weight}
		if weight == nil {
			step.Pause = &v1alpha1.RolloutPause{}
		}
		canary.Steps = append(canary.Steps, step)
	}
	if row.Routed {
		canary.TrafficRouting = &v1alpha1.RolloutTrafficRouting{
			Nginx: &v1alpha1.NginxTrafficRouting{StableIngress: "web"}, MaxTrafficWeight: row.MaxWeight,
		}
	}
	rollout := &v1alpha1.Rollout{
		Spec: v1alpha1.RolloutSpec{Replicas: &row.Replicas, Strategy: v1alpha1.RolloutStrategy{Canary: canary}},
		Status: v1alpha1.RolloutStatus{
			CurrentStepIndex: row.Index, CurrentPodHash: "new", Abort: row.Abort, PromoteFull: row.Full,
		},
	}
	if row.Stable != nil {
		rollout.Status.StableRS = "stable"
	}
	return rollout
}

func set(name string, row []int32) *appsv1.ReplicaSet {
	if row == nil {
		return nil
	}
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       appsv1.ReplicaSetSpec{Replicas: &row[0]},
		Status:     appsv1.ReplicaSetStatus{Replicas: row[1], AvailableReplicas: row[2]},
	}
}

func number(n int) *intstr.IntOrString {
	value := intstr.FromInt32(int32(n))
	return &value
}

func percent(text string) *intstr.IntOrString {
	value := intstr.FromString(text)
	return &value
}

func zero(value *intstr.IntOrString) bool {
	return value != nil && (value.String() == "0" || value.String() == "0%")
}
