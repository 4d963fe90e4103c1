package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/argoproj/argo-rollouts/utils/rollout"
)

const phaseRows = 600

// phaseRow is a Rollout and what its status is in words.
type phaseRow struct {
	Rollout map[string]any `json:"rollout"`
	// Go is phase and message as the controller writes them, Client as clients show them.
	Go     [2]string `json:"go"`
	Client [2]string `json:"client"`
	// Differs is the number of a deliberate difference, with what Tidegate says.
	Differs    int        `json:"differs,omitempty"`
	Here       *[2]string `json:"here,omitempty"`
	HereClient *[2]string `json:"hereClient,omitempty"`
}

func printPhases(out io.Writer) error {
	dice := newDice(12)
	var rows []any
	for range phaseRows {
		row := phaseRow{Rollout: randomRollout(dice)}
		if err := row.ask(); err != nil {
			return err
		}
		rows = append(rows, row)
	}
	return printSections(out, section{"phases", rows})
}

func randomRollout(d dice) map[string]any {
	wanted := d.Intn(5)
	canary := map[string]any{}
	if d.rarely(2) {
		canary["steps"] = []any{map[string]any{"setWeight": 20}, map[string]any{"pause": map[string]any{}}}
	}
	if d.rarely(3) {
		canary["trafficRouting"] = map[string]any{"nginx": map[string]any{"stableIngress": "web"}}
	}
	spec := map[string]any{"strategy": map[string]any{"canary": canary}}
	if !d.rarely(6) {
		spec["replicas"] = wanted
	}
	if d.rarely(10) {
		spec["paused"] = true
	}
	status := map[string]any{
		"currentPodHash": pick(d, "a", "a", "b"), "stableRS": pick(d, "a", "a", "b", ""),
		"replicas": wanted + d.Intn(3), "updatedReplicas": max(0, wanted-d.Intn(5)/3), "availableReplicas": max(0, wanted-d.Intn(5)/3),
		"observedGeneration": pick(d, "4", "4", "4", "4", "3", "5", "", "7d9f", "04"),
	}
	if d.rarely(4) {
		var pauses []any
		for range 1 + d.Intn(2) {
			pauses = append(pauses, map[string]any{"reason": pick(d, "CanaryPauseStep", "InconclusiveAnalysisRun", "BlueGreenPause"), "startTime": "2026-01-02T03:04:05Z"})
		}
		status["pauseConditions"] = pauses
	}
	if d.rarely(4) {
		status["controllerPause"] = true
	}
	if d.rarely(8) {
		status["abort"], status["abortedAt"] = true, "2026-01-02T03:04:05Z"
	} else if d.rarely(12) {
		status["abortedAt"] = "2026-01-02T03:04:05Z"
	}
	if d.rarely(3) {
		status["phase"], status["message"] = pick(d, "Healthy", "Degraded", "Progressing", "Paused"), pick(d, "", "more replicas need to be updated", "CanaryPauseStep")
	}
	if d.rarely(20) {
		spec["restartAt"] = "2026-01-02T03:04:05Z"
		status["restartedAt"] = pick(d, "2026-01-02T03:04:05Z", "2026-01-01T00:00:00Z")
	}
	var conditions []any
	for range d.Intn(4) {
		conditions = append(conditions, map[string]any{
			"type":   pick(d, "Progressing", "Progressing", "Available", "Paused", "Healthy", "Completed", "InvalidSpec", "ReplicaFailure"),
			"status": pick(d, "True", "False", "Unknown"),
			"reason": pick(d, "NewReplicaSetAvailable", "ReplicaSetUpdated", "AvailableReason", "RolloutPaused", "RolloutAborted", "ProgressDeadlineExceeded", "InvalidSpec"),
			// What is shown for an error is this text.
			"message": "because " + strconv.Itoa(d.Intn(9)),
		})
	}
	if len(conditions) > 0 && d.rarely(2) {
		status["conditions"] = conditions
	}
	return map[string]any{"metadata": map[string]any{"generation": 4}, "spec": spec, "status": status}
}

func (row *phaseRow) ask() error {
	text, err := json.Marshal(row.Rollout)
	if err != nil {
		return err
	}
	var ro v1alpha1.Rollout
	if err := json.Unmarshal(text, &ro); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	row.Go, row.Client = words(rollout.CalculateRolloutPhase(ro.Spec, ro.Status)), words(rollout.GetRolloutPhase(&ro))
	here, client := row.Go, row.Client
	first := client[1] == "waiting for rollout spec update to be observed" || client[1] == "waiting for rollout to unpause"
	if ro.Status.AbortedAt != nil && !ro.Status.Abort && !first {
		row.differ(retryIsWaitedFor, here, [2]string{"Progressing", "waiting for rollout to retry"})
	}
	return nil
}

func (row *phaseRow) differ(number int, here, client [2]string) {
	if here != row.Go {
		row.Differs, row.Here = number, &here
	}
	if client != row.Client {
		row.Differs, row.HereClient = number, &client
	}
}

func words(phase v1alpha1.RolloutPhase, message string) [2]string {
	return [2]string{string(phase), message}
}
