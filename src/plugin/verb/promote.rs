//! `promote NAME`: ends a pause, skips the current step, or with `--full` all that is left.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};
use tidegate_api::analysis::AnalysisPhase;
use tidegate_api::rollout::{Rollout, RolloutStatus};

use crate::Exit;
use crate::patch::Patches;
use crate::session::Session;

/// Promote a rollout: end its pause, or skip the step that it is at.
#[derive(Debug, Args)]
pub(crate) struct Promote {
    /// Name of the rollout.
    name: String,
    /// Skip all remaining pauses, steps and analyses.
    #[arg(long)]
    full: bool,
    /// Old form: skip the current step.
    #[arg(short = 'c', long, hide = true)]
    skip_current_step: bool,
    /// Old form: skip all remaining steps.
    #[arg(short = 'a', long, hide = true)]
    skip_all_steps: bool,
}

/// How far to promote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// The pause, or the current step.
    Next,
    /// Everything.
    Full,
    /// The current step, whatever it is.
    CurrentStep,
    /// All steps, but not the wait for pods.
    AllSteps,
}

impl Promote {
    /// Promotes the Rollout.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        let reach = self.reach()?;
        let rollout = session.rollout(&self.name).await?;
        patches(&rollout, reach)?.send(session, &self.name).await?;
        let name = &self.name;
        if reach == Reach::Full {
            session.terminal.say(&format!("rollout '{name}' fully promoted"))?;
        } else {
            session.terminal.say(&format!("rollout '{name}' promoted"))?;
            if rollout.status.is_some_and(|status| status.abort) {
                let typed = session.grammar.typed();
                session.terminal.warn(&format!(
                    "Warning: rollout '{name}' is aborted and stays so; begin again with \"{typed} retry rollout {name}\""
                ))?;
            }
        }
        Ok(Exit::Done)
    }

    /// Says how far to promote.
    ///
    /// # Errors
    /// Fails when more than one of the switches is on; one that is written and off, as in `--full=false`, is none.
    fn reach(&self) -> Result<Reach> {
        match (self.full, self.skip_current_step, self.skip_all_steps) {
            (false, false, false) => Ok(Reach::Next),
            (true, false, false) => Ok(Reach::Full),
            (false, true, false) => Ok(Reach::CurrentStep),
            (false, false, true) => Ok(Reach::AllSteps),
            (true, true, _) | (true, _, true) | (_, true, true) => {
                bail!("choose one of --full, --skip-current-step and --skip-all-steps")
            }
        }
    }
}

/// Says what to change in a Rollout to promote it.
fn patches(rollout: &Rollout, reach: Reach) -> Result<Patches> {
    let none = RolloutStatus::default();
    let status = rollout.status.as_ref().unwrap_or(&none);
    match reach {
        Reach::Next => Ok(next(rollout, status)),
        Reach::Full => Ok(Patches {
            spec: unpaused(rollout),
            // There is nothing to promote when the stable version is the current one, and the request would
            // lie in wait for the next update.
            status: (status.current_pod_hash != status.stable_rs)
                .then(|| json!({ "status": { "promoteFull": true } })),
            unified: json!({ "spec": { "paused": false }, "status": { "promoteFull": true } }),
        }),
        Reach::CurrentStep => {
            let index = following_step(refuse_without_steps(rollout)?, status);
            Ok(Patches::status(json!({ "status": { "currentStepIndex": index } })))
        }
        Reach::AllSteps => {
            let count = refuse_without_steps(rollout)?;
            Ok(Patches::status(json!({ "status": { "currentStepIndex": count } })))
        }
    }
}

/// Ends the pause; where there is none, skips the current step, such as an analysis.
fn next(rollout: &Rollout, status: &RolloutStatus) -> Patches {
    let steps = step_count(rollout);
    let is_paused = !status.pause_conditions.is_empty();
    let spec = unpaused(rollout);
    let run = status.canary.current_step_analysis_run_status.as_ref();
    let is_inconclusive = rollout.spec.strategy.canary.is_some()
        && run.is_some_and(|run| run.status == Some(AnalysisPhase::Inconclusive));
    let unified = json!({ "spec": { "paused": false }, "status": { "pauseConditions": null } });
    if is_inconclusive && is_paused && status.controller_pause {
        // With controllerPause left on, a pause step that follows would count as already ended.
        let patch = steps.map(|count| {
            let index = following_step(count, status);
            json!({ "status": { "pauseConditions": null, "controllerPause": false, "currentStepIndex": index } })
        });
        return Patches { spec, status: patch, unified };
    }
    if is_paused {
        // controllerPause stays on: that is how the controller knows that a person ended the pause.
        return Patches { spec, status: Some(json!({ "status": { "pauseConditions": null } })), unified };
    }
    match steps {
        Some(count) => {
            let index = following_step(count, status);
            Patches {
                spec,
                status: Some(json!({ "status": { "pauseConditions": null, "currentStepIndex": index } })),
                unified: json!({
                    "spec": { "paused": false },
                    "status": { "pauseConditions": null, "currentStepIndex": index },
                }),
            }
        }
        None => Patches { spec, status: None, unified },
    }
}

fn unpaused(rollout: &Rollout) -> Option<Value> {
    rollout.spec.paused.then(|| json!({ "spec": { "paused": false } }))
}

/// Returns the number of canary steps; nothing when there are none.
fn step_count(rollout: &Rollout) -> Option<i32> {
    let steps = &rollout.spec.strategy.canary.as_ref()?.steps;
    (!steps.is_empty()).then(|| i32::try_from(steps.len()).unwrap_or(i32::MAX))
}

/// Returns the index of the step after the current one.
fn following_step(count: i32, status: &RolloutStatus) -> i32 {
    let index = status.current_step_index.unwrap_or(0);
    if index < count { index + 1 } else { index }
}

fn refuse_without_steps(rollout: &Rollout) -> Result<i32> {
    if rollout.spec.strategy.blue_green.is_some() {
        bail!("Cannot skip steps of a bluegreen rollout. Run without a flags");
    }
    match step_count(rollout) {
        Some(count) => Ok(count),
        None => bail!("Cannot skip steps of a rollout without steps"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Promote, Reach, patches};
    use crate::patch::Patches;
    use serde_json::{Value, json};

    const STEPS: &str = r#"[{ "setWeight": 20 }, { "pause": {} }, { "analysis": {} }]"#;

    fn canary(status: Value) -> Value {
        let steps: Value = serde_json::from_str(STEPS).unwrap();
        json!({ "metadata": {}, "spec": { "strategy": { "canary": { "steps": steps } } }, "status": status })
    }

    fn with_paused_spec(mut rollout: Value) -> Value {
        rollout["spec"]["paused"] = json!(true);
        rollout
    }

    fn blue_green(status: Value) -> Value {
        json!({ "metadata": {}, "spec": { "strategy": { "blueGreen": { "activeService": "a" } } }, "status": status })
    }

    fn promoted(rollout: Value, reach: Reach) -> Patches {
        patches(&serde_json::from_value(rollout).unwrap(), reach).unwrap()
    }

    fn paused() -> Value {
        json!({ "currentStepIndex": 1, "controllerPause": true, "pauseConditions": [{ "reason": "CanaryPauseStep" }] })
    }

    #[test]
    fn a_pause_is_ended_and_nothing_else() {
        let patches = promoted(canary(paused()), Reach::Next);
        assert_eq!(patches.status, Some(json!({ "status": { "pauseConditions": null } })));
        assert_eq!(patches.spec, None);
    }

    #[test]
    fn a_paused_spec_goes_on_too() {
        let patches = promoted(with_paused_spec(canary(paused())), Reach::Next);
        assert_eq!(patches.spec, Some(json!({ "spec": { "paused": false } })));
        assert_eq!(
            patches.unified,
            json!({ "spec": { "paused": false }, "status": { "pauseConditions": null } })
        );
    }

    #[test]
    fn an_inconclusive_step_is_left_behind_with_the_controllers_pause() {
        let status = json!({
            "currentStepIndex": 2,
            "controllerPause": true,
            "pauseConditions": [{ "reason": "InconclusiveAnalysisRun" }],
            "canary": { "currentStepAnalysisRunStatus": { "name": "run", "status": "Inconclusive" } },
        });
        let patches = promoted(canary(status), Reach::Next);
        let expected = json!({ "pauseConditions": null, "controllerPause": false, "currentStepIndex": 3 });
        assert_eq!(patches.status, Some(json!({ "status": expected })));
    }

    #[test]
    fn without_a_pause_the_current_step_is_skipped() {
        let patches = promoted(canary(json!({ "currentStepIndex": 2 })), Reach::Next);
        let expected = json!({ "pauseConditions": null, "currentStepIndex": 3 });
        assert_eq!(patches.status, Some(json!({ "status": expected })));
        assert_eq!(patches.unified, json!({ "spec": { "paused": false }, "status": expected }));
    }

    #[test]
    fn the_index_never_passes_the_last_step() {
        let patches = promoted(canary(json!({ "currentStepIndex": 3 })), Reach::Next);
        assert_eq!(patches.status.unwrap()["status"]["currentStepIndex"], 3);
        let patches = promoted(canary(Value::Null), Reach::Next);
        assert_eq!(patches.status.unwrap()["status"]["currentStepIndex"], 1);
    }

    #[test]
    fn blue_green_without_a_pause_needs_nothing() {
        assert_eq!(promoted(blue_green(Value::Null), Reach::Next).status, None);
        let paused = json!({ "controllerPause": true, "pauseConditions": [{ "reason": "BlueGreenPause" }] });
        let patches = promoted(blue_green(paused), Reach::Next);
        assert_eq!(patches.status, Some(json!({ "status": { "pauseConditions": null } })));
    }

    #[test]
    fn a_full_promotion_is_asked_for_only_while_there_is_something_to_promote() {
        let update = json!({ "currentPodHash": "new", "stableRS": "old" });
        let full = Some(json!({ "status": { "promoteFull": true } }));
        assert_eq!(promoted(canary(update.clone()), Reach::Full).status, full);
        assert_eq!(
            promoted(canary(json!({ "currentPodHash": "a", "stableRS": "a" })), Reach::Full).status,
            None
        );
        let patches = promoted(with_paused_spec(canary(update)), Reach::Full);
        assert_eq!(patches.spec, Some(json!({ "spec": { "paused": false } })));
    }

    #[test]
    fn one_switch_at_most_may_be_on() {
        let reach = |full, skip_current_step, skip_all_steps| {
            let promote = Promote { name: "web".to_owned(), full, skip_current_step, skip_all_steps };
            promote.reach().ok()
        };
        assert_eq!(reach(false, false, false), Some(Reach::Next));
        assert_eq!(reach(true, false, false), Some(Reach::Full));
        assert_eq!(reach(false, true, false), Some(Reach::CurrentStep));
        assert_eq!(reach(false, false, true), Some(Reach::AllSteps));
        for (full, current, all) in
            [(true, true, false), (true, false, true), (false, true, true), (true, true, true)]
        {
            assert_eq!(reach(full, current, all), None);
        }
    }

    #[test]
    fn the_old_flags_set_the_step() {
        let rollout = canary(paused());
        let index =
            |reach| promoted(rollout.clone(), reach).status.unwrap()["status"]["currentStepIndex"].clone();
        assert_eq!(index(Reach::CurrentStep), 2);
        assert_eq!(index(Reach::AllSteps), 3);
        let refused = patches(&serde_json::from_value(blue_green(Value::Null)).unwrap(), Reach::AllSteps);
        assert!(refused.is_err());
    }
}
