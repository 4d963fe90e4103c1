//! The acts of the demo. Each commits to Git or acts as a person would, waits
//! until what it expects has come, and notes what it saw of each claim.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use tidegate_api::analysis::AnalysisPhase;
use tidegate_api::rollout::RolloutPhase;

use super::claim::{Claim, Ledger};
use super::idle::{self, Idle};
use super::measure::{self, Measured};
use super::repository::{HAND_WEIGHTS, JUDGED_WEIGHTS, RELEASES, Release, UNRELATED};
use super::screen::{Screen, Style, bar};
use super::stage::Stage;
use super::story::{NAME, Seen, Story, phase_of, values};
use crate::load::{Answers, Load, Running};
use crate::manifest;

/// The load on the data plane.
const PER_SECOND: u32 = 100;
/// The span of what is called "now" in a measurement.
const RECENT: Duration = Duration::from_secs(2);
/// How far a measured share may be from the wanted one, in points.
const SHARE_TOLERANCE: f64 = 5.0;
/// How long a pause step is watched to see that nothing moves.
const PAUSE_WATCHED: Duration = Duration::from_secs(5);
const SHOW_PERIOD: Duration = Duration::from_millis(250);
/// No single expectation takes longer, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// One performance.
pub(super) struct Play<'a> {
    stage: &'a Stage,
    screen: &'a Screen,
    ledger: &'a Ledger,
    story: Story<'a>,
    load: Mutex<Option<Running>>,
    answers: Mutex<Option<Answers>>,
    idle: Mutex<Option<Idle>>,
    timings: Mutex<Vec<(String, Duration)>>,
}

impl<'a> Play<'a> {
    pub(super) fn new(stage: &'a Stage, screen: &'a Screen, ledger: &'a Ledger) -> Self {
        Self {
            stage,
            screen,
            ledger,
            story: Story::new(screen),
            load: Mutex::default(),
            answers: Mutex::default(),
            idle: Mutex::default(),
            timings: Mutex::default(),
        }
    }

    /// Plays all acts, following the cluster and showing progress all the while.
    pub(super) async fn run(&self) -> Result<()> {
        let [first, good, bad, by_hand, back] = RELEASES;
        let acts = async {
            self.act("2  Version 1 arrives from Git", self.begin(first)).await?;
            self.act("3  Version 2 climbs, and Prometheus judges each step", self.climb(good)).await?;
            self.act("4  Version 3 fails some of its requests", self.fail(bad, good)).await?;
            self.act("5  A commit about something else", self.hold(UNRELATED)).await?;
            self.act("6  Version 4 waits for a person at each step", self.steer(by_hand, good)).await?;
            self.act("7  A commit goes back to version 2", self.go_back(back)).await?;
            self.act("8  What the controller costs when there is nothing to do", self.rest(bad)).await
        };
        let client = self.stage.cluster.client();
        tokio::select! {
            done = acts => done,
            ended = self.story.follow(client, &self.stage.names) => ended,
            never = self.show() => match never {},
        }
    }

    /// Everything that was measured, also of a performance that was cut short.
    pub(super) async fn measured(&self) -> Measured {
        let running = lock(&self.load).take();
        let answers = match running {
            Some(running) => running.stop().await.ok(),
            None => lock(&self.answers).clone(),
        };
        let answers = answers.unwrap_or(Answers { began: jiff::Timestamp::now(), samples: Vec::new() });
        Measured::new(answers, &self.story.seen(), RELEASES[2].version, *lock(&self.idle))
    }

    pub(super) fn timings(&self) -> Vec<(String, Duration)> {
        lock(&self.timings).clone()
    }

    async fn act(&self, title: &str, act: impl Future<Output = Result<()>>) -> Result<()> {
        self.screen.title(title);
        let start = Instant::now();
        let done = act.await;
        let (_number, name) = title.split_once("  ").unwrap_or(("", title));
        lock(&self.timings).push((name.to_owned(), start.elapsed()));
        done
    }

    /// The first version comes, and the load begins.
    async fn begin(&self, release: Release) -> Result<()> {
        let commit = self.commit(release)?;
        manifest::apply(self.stage.cluster.client(), &self.stage.names.application(), self.stage.namespace())
            .await?;
        self.story.tell(Style::Person, "$ kubectl apply -f application.yaml");
        let version = release.version;
        self.story
            .until("version 1 is synced and healthy", PATIENCE, |seen| {
                seen.is_synced_to(&commit) && seen.application_is_healthy() && seen.is_healthy_at(version)
            })
            .await?;
        let load = Load::new(self.stage.ingress, &self.stage.names.host, PER_SECOND);
        let all_good =
            |answers: &Answers| answers.bad().count() == 0 && answers.share_percent(version) >= 100.0;
        let answers = load.until_answers(all_good).await?;
        self.ledger.note(
            Claim::FirstSync,
            true,
            format!("Synced, Healthy, {} answers in a row", answers.len()),
        );
        *lock(&self.load) = Some(load.start());
        self.story.tell(
            Style::Plain,
            format!("from here on {PER_SECOND} requests a second go through the data plane"),
        );
        Ok(())
    }

    /// A good version goes all the way up.
    async fn climb(&self, release: Release) -> Result<()> {
        let start = Instant::now();
        self.commit(release)?;
        let version = release.version;
        self.story
            .until("version 2 is promoted", PATIENCE, |seen| {
                seen.is_healthy_at(version) || (seen.version() == version && is_stuck(seen))
            })
            .await?;
        let seen = self.story.seen();
        let climbed = weights(&seen, version);
        self.ledger.note(Claim::Climb, climbed == JUDGED_WEIGHTS, format!("{climbed:?}"));
        let judged: Vec<usize> = seen
            .ended_runs(version)
            .iter()
            .filter(|run| phase_of(run) == Some(AnalysisPhase::Successful))
            .map(|run| values(run).iter().filter(|value| value.ends_with('%')).count())
            .collect();
        let enough = judged.len() == JUDGED_WEIGHTS.len() && judged.iter().all(|numbers| *numbers >= 2);
        let all: usize = judged.iter().sum();
        self.ledger.note(
            Claim::Judged,
            enough,
            format!("{} analyses successful, {all} measurements", judged.len()),
        );
        ensure!(seen.is_healthy_at(version), "version 2 is not promoted: {:?}", seen.phase());
        self.until_all_from(version).await?;
        self.ledger.note(Claim::Promoted, true, format!("after {:.0} s", start.elapsed().as_secs_f64()));
        self.compare_shares(version);
        Ok(())
    }

    fn compare_shares(&self, version: &str) {
        let Some(answers) = lock(&self.load).as_ref().map(Running::so_far) else { return };
        let measured = Measured::new(answers, &self.story.seen(), RELEASES[2].version, None);
        let of_version = |row: &&measure::Row| {
            row.split.canary.as_ref().is_some_and(|(name, percent)| name == version && *percent > 0)
        };
        let rows: Vec<(i32, Option<f64>)> = measured
            .rows
            .iter()
            .filter(of_version)
            .map(|row| (row.split.percent(), row.settled_percent))
            .collect();
        let is_close = |(wanted, share): &(i32, Option<f64>)| {
            share.is_some_and(|share| (share - f64::from(*wanted)).abs() <= SHARE_TOLERANCE)
        };
        let text: Vec<String> = rows
            .iter()
            .map(|(wanted, share)| match share {
                Some(share) => format!("{wanted} -> {share:.1} %"),
                None => format!("{wanted} -> too short to measure"),
            })
            .collect();
        self.ledger.note(Claim::Shares, !rows.is_empty() && rows.iter().all(is_close), text.join(", "));
    }

    /// A bad version is judged, shut off, and gone.
    async fn fail(&self, release: Release, stable: Release) -> Result<()> {
        self.commit(release)?;
        let version = release.version;
        self.story
            .until("version 3 is aborted", PATIENCE, |seen| {
                seen.version() == version
                    && seen.phase().0.is_some()
                    && (is_stuck(seen) || seen.is_healthy_at(version))
            })
            .await?;
        let seen = self.story.seen();
        let failed = seen.ended_runs(version).iter().any(|run| {
            phase_of(run) == Some(AnalysisPhase::Failed)
                && values(run).iter().any(|value| value.ends_with('%'))
        });
        let runs: Vec<String> = seen.ended_runs(version).iter().map(|run| values(run).join(", ")).collect();
        self.ledger.note(Claim::BadJudged, failed, format!("success rate {}", runs.join("; ")));
        let reached = weights(&seen, version);
        let stopped = seen.is_aborted() && reached.iter().all(|weight| *weight <= JUDGED_WEIGHTS[0]);
        self.ledger.note(Claim::BadStopped, stopped, format!("its weights were {reached:?}"));
        ensure!(seen.is_aborted(), "version 3 is not aborted: {:?}", seen.phase());
        self.until_all_from(stable.version).await?;
        self.tell_how_it_ended(release)
    }

    fn tell_how_it_ended(&self, release: Release) -> Result<()> {
        let answers = lock(&self.load).as_ref().map(Running::so_far).context("the load has ended")?;
        let measured = Measured::new(answers, &self.story.seen(), release.version, None);
        let bad = measured.bad.context("no bad answer reached a user: nothing was shown")?;
        let seconds = bad.seconds();
        self.ledger.note(
            Claim::TrafficBack,
            true,
            format!("{seconds:.1} s after the first bad answer; users got {} bad answers in all", bad.bad),
        );
        self.story.mark(
            Style::Good,
            format!(
                "traffic is back on version 2, {seconds:.1} s after the first bad answer \
                 (weight 0 after {:.1} s); users got {} bad answers in all",
                bad.seconds_to_weight_zero(),
                bad.bad,
            ),
        );
        Ok(())
    }

    /// Git still names the bad version: its other changes come, and the version does not.
    async fn hold(&self, release: Release) -> Result<()> {
        let commit = self.commit(release)?;
        let is_held = |seen: &Seen| seen.phase().1.contains("held: ");
        self.story
            .until("the commit is synced and version 3 is held", PATIENCE, |seen| {
                seen.is_synced_to(&commit) && is_held(seen)
            })
            .await?;
        let why = self.story.seen().phase().1;
        self.story.mark(Style::Good, why);
        let settings: Api<ConfigMap> =
            Api::namespaced(self.stage.cluster.client().clone(), self.stage.namespace());
        let greeting = settings.get("shop-settings").await?.data.unwrap_or_default().remove("greeting");
        let moved = self.moves_within(0, PAUSE_WATCHED).await;
        let share = self.share_now(release.version);
        let held = !moved && share == 0.0 && is_held(&self.story.seen());
        self.ledger.note(
            Claim::Held,
            held && greeting.as_deref() == Some(release.greeting),
            format!("the greeting is {greeting:?}, version 3 got {share:.1} %"),
        );
        Ok(())
    }

    /// A person moves a version on, thinks again, and takes it back.
    async fn steer(&self, release: Release, stable: Release) -> Result<()> {
        self.commit(release)?;
        let version = release.version;
        let [first, second] = HAND_WEIGHTS;
        self.until_paused_at(version, first).await?;
        let moved = self.moves_within(first, PAUSE_WATCHED).await;
        let share = self.share_now(version);
        self.ledger.note(
            Claim::HandPaused,
            !moved,
            format!("{first} % for {} s, measured {share:.1} %", PAUSE_WATCHED.as_secs()),
        );
        self.person(&["tidegate", "get", "rollout", NAME]).await?;
        let start = Instant::now();
        self.person(&["tidegate", "promote", NAME]).await?;
        self.until_paused_at(version, second).await?;
        let took = start.elapsed().as_secs_f64();
        let moved = self.moves_within(second, PAUSE_WATCHED).await;
        let share = self.share_now(version);
        self.ledger.note(
            Claim::HandPromoted,
            !moved,
            format!("{second} % after {took:.1} s, measured {share:.1} %"),
        );
        let start = Instant::now();
        self.person(&["tidegate", "abort", NAME]).await?;
        self.story
            .until("version 4 is aborted", PATIENCE, |seen| seen.is_aborted() && seen.percent() == 0)
            .await?;
        self.until_all_from(stable.version).await?;
        let took = start.elapsed().saturating_sub(RECENT).as_secs_f64();
        self.ledger.note(Claim::HandAborted, true, format!("version 2 alone answers after {took:.1} s"));
        Ok(())
    }

    /// Git says what runs already.
    async fn go_back(&self, release: Release) -> Result<()> {
        let start = Instant::now();
        let commit = self.commit(release)?;
        let version = release.version;
        self.story
            .until("version 2 is synced and healthy", PATIENCE, |seen| {
                seen.is_synced_to(&commit) && seen.application_is_healthy() && seen.is_healthy_at(version)
            })
            .await?;
        let took = start.elapsed().as_secs_f64();
        self.ledger.note(Claim::RevertedByGit, true, format!("after {took:.1} s"));
        Ok(())
    }

    /// The load ends, and the controller is watched doing nothing.
    async fn rest(&self, failing: Release) -> Result<()> {
        let running = lock(&self.load).take().context("the load has ended")?;
        let answers = running.stop().await?;
        let broken = measure::broken(&answers, failing.version);
        let first = measure::first_broken(&answers, failing.version);
        let seen = format!(
            "{} requests, {broken} broken{}",
            answers.len(),
            first.map(|first| format!("; the first after {first}")).unwrap_or_default()
        );
        self.ledger.note(Claim::NothingLost, broken == 0 && answers.len() > 0, seen);
        *lock(&self.answers) = Some(answers);
        let client = self.stage.cluster.client();
        let idle = idle::watch(client).await?;
        match &idle {
            Some(idle) => self.story.tell(
                Style::Plain,
                format!(
                    "the controller has {:.1} MiB and uses {:.2} % of a core",
                    idle.memory_mib, idle.cpu_percent
                ),
            ),
            None => {
                self.story.tell(Style::Plain, "not measured: the controller does not run on this machine")
            }
        }
        *lock(&self.idle) = idle;
        let restarts = idle::restarts(client).await?;
        let never = !restarts.is_empty() && restarts.values().all(|count| *count == 0);
        self.ledger.note(
            Claim::NeverRestarted,
            never,
            format!("{} pod, {} restarts", restarts.len(), restarts.values().sum::<i32>()),
        );
        Ok(())
    }

    fn commit(&self, release: Release) -> Result<String> {
        let commit = self.stage.names.commit(&self.stage.repository, release)?;
        let id: String = commit.chars().take(7).collect();
        self.story.mark(Style::Git, format!("commit {id}  {}", release.message));
        Ok(commit)
    }

    /// Runs a command as a person would, and shows it.
    async fn person(&self, args: &[&str]) -> Result<()> {
        self.story.mark(Style::Person, format!("$ kubectl {}", args.join(" ")));
        let said = self.stage.kubectl.run(args).await?;
        self.screen.block(&said);
        Ok(())
    }

    async fn until_paused_at(&self, version: &str, percent: i32) -> Result<()> {
        let what = format!("{version} is paused at {percent} %");
        self.story
            .until(&what, PATIENCE, |seen| {
                seen.version() == version
                    && seen.percent() == percent
                    && seen.phase().0 == Some(RolloutPhase::Paused)
            })
            .await
    }

    /// Whether the weight changes within a time.
    async fn moves_within(&self, percent: i32, span: Duration) -> bool {
        self.story.until("", span, |seen| seen.percent() != percent).await.is_ok()
    }

    /// Waits until, for a while, every answer has come from one version.
    async fn until_all_from(&self, version: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let recent =
                lock(&self.load).as_ref().map(|load| load.recent(RECENT)).context("the load has ended")?;
            let enough = recent.len() >= PER_SECOND as usize;
            if enough && recent.bad().count() == 0 && recent.share_percent(version) >= 100.0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{version} does not answer everything; the last answers were {:?}", recent.counts());
            }
        }
    }

    fn share_now(&self, version: &str) -> f64 {
        lock(&self.load).as_ref().map_or(0.0, |load| load.recent(RECENT).share_percent(version))
    }

    /// Shows how things stand, for ever.
    async fn show(&self) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(SHOW_PERIOD).await;
            let counts = lock(&self.load).as_ref().map(|load| (load.recent(RECENT), load.sent()));
            match counts {
                Some((recent, sent)) => self.screen.show(&self.state(&recent, sent)),
                None => self.screen.show(&[String::new(), format!("          {}", self.story.seen().wait())]),
            }
        }
    }

    /// How things stand, in three lines.
    fn state(&self, recent: &Answers, sent: u64) -> Vec<String> {
        let seen = self.story.seen();
        let version = seen
            .splits
            .last()
            .and_then(|(_, split)| split.canary.as_ref().map(|(version, _)| version.clone()));
        let version = version.unwrap_or_else(|| seen.version());
        let is_alone = seen.splits.last().is_some_and(|(_, split)| split.canary.is_none());
        let wanted = if is_alone { 100.0 } else { f64::from(seen.percent()) };
        let share = recent.share_percent(&version);
        let bars = |percent: f64| {
            if self.screen.is_terminal() { format!("{} ", bar(percent)) } else { String::new() }
        };
        let step = seen.step().map(|step| format!(", step {step}")).unwrap_or_default();
        let bad = recent.bad().count();
        let trouble = if bad > 0 {
            self.screen.paint(Style::Bad, &format!("{bad} bad"))
        } else {
            "none bad".to_owned()
        };
        vec![
            String::new(),
            format!("          wanted   {wanted:5.1} %  {}of the traffic for {version}{step}", bars(wanted)),
            format!(
                "          measured {share:5.1} %  {}of {} answers in the last {} s, {trouble}; {sent} sent in all",
                bars(share),
                recent.len(),
                RECENT.as_secs(),
            ),
            format!("          waiting for {}", seen.waiting_for().unwrap_or_else(|| "nothing".to_owned())),
        ]
    }
}

/// Aborted, failed or paused: it will not go on by itself.
fn is_stuck(seen: &Seen) -> bool {
    seen.is_aborted() || matches!(seen.phase().0, Some(RolloutPhase::Paused | RolloutPhase::Degraded))
}

/// The weights a version was given, in order.
fn weights(seen: &Seen, version: &str) -> Vec<i32> {
    let of_version =
        seen.splits.iter().filter_map(|(_, split)| split.canary.as_ref().filter(|(name, _)| name == version));
    let mut weights: Vec<i32> =
        of_version.map(|(_, percent)| *percent).filter(|percent| *percent > 0).collect();
    weights.dedup();
    weights
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
