//! Renders a Rollout for a terminal: the header block, and the tree of its objects.
//!
//! Layout, icons and words are those of the Argo Rollouts plugin, so that eyes and scripts find them.

use super::duration::{age, human_duration};
use super::experiment::{ExperimentPage, ExperimentView};
use super::icon::{Color, Icon, Line, Paint};
use super::rollout::{ImageView, RevisionView, RolloutView, Strategy};
use super::run::{JobView, RunView};
use super::set::SetView;
use super::table;
use jiff::Timestamp;
use tidegate_api::analysis::AnalysisPhase;

/// Width of the names in the header block.
const LABEL_WIDTH: usize = 17;

/// Renders header and tree.
#[must_use]
pub fn render_rollout(view: &RolloutView, paint: Paint) -> String {
    format!("{}\n{}", header(view, paint), tree(view, paint))
}

/// Renders the state in one line, for logs: phase, step, weight, pods, and what is waited for.
#[must_use]
pub fn render_summary(view: &RolloutView) -> String {
    let mut parts = vec![view.status.as_str().to_owned()];
    parts.extend(view.step.as_ref().map(|step| format!("step {step}")));
    if let (Some(set), Some(actual)) = (view.set_weight, view.actual_weight) {
        parts.push(if set == actual { format!("weight {set}") } else { format!("weight {actual} of {set}") });
    }
    let counts = view.replicas;
    parts.push(format!("{} updated, {} available of {}", counts.updated, counts.available, counts.desired));
    parts.extend(view.waiting_for.as_ref().map(|why| format!("waiting for {why}")));
    parts.join("; ")
}

/// Renders the header block.
fn header(view: &RolloutView, paint: Paint) -> String {
    let mut lines: Vec<(&str, Line)> = vec![
        ("Name:", view.name.as_str().into()),
        ("Namespace:", view.namespace.as_str().into()),
        ("Status:", state(view.icon, view.status.as_str())),
    ];
    if !view.message.is_empty() {
        lines.push(("Message:", view.message.as_str().into()));
    }
    if let Some(why) = &view.waiting_for {
        lines.push(("Waiting for:", why.as_str().into()));
    }
    lines.push(("Strategy:", view.strategy.as_str("").into()));
    if view.strategy == Strategy::Canary {
        lines.push(("  Step:", view.step.clone().unwrap_or_default().into()));
        lines.push(("  SetWeight:", view.set_weight.unwrap_or(0).to_string().into()));
        lines.push(("  ActualWeight:", view.actual_weight.unwrap_or(0).to_string().into()));
    }
    lines.extend(images(&view.images));
    let counts = view.replicas;
    lines.push(("Replicas:", Line::default()));
    lines.push(("  Desired:", counts.desired.to_string().into()));
    lines.push(("  Current:", counts.current.to_string().into()));
    lines.push(("  Updated:", counts.updated.to_string().into()));
    lines.push(("  Ready:", counts.ready.to_string().into()));
    lines.push(("  Available:", counts.available.to_string().into()));
    block(&lines, paint)
}

/// Renders labels and what belongs to them, one line each.
fn block(lines: &[(&str, Line)], paint: Paint) -> String {
    let line = |(label, line): &(&str, Line)| {
        format!("{label:LABEL_WIDTH$}{}", line.render(paint)).trim_end().to_owned() + "\n"
    };
    lines.iter().map(line).collect()
}

/// Lists images with the roles of the pods they run in.
fn images(images: &[ImageView]) -> impl Iterator<Item = (&'static str, Line)> {
    images.iter().enumerate().map(|(index, image)| {
        let mut line = Line::from(image.image.as_str());
        if !image.tags.is_empty() {
            let tags = image.tags.iter().map(|tag| Line::default().color(tag, tag_color(tag)));
            line = line.text(" (").line(Line::join(tags, ", ")).text(")");
        }
        (if index == 0 { "Images:" } else { "" }, line)
    })
}

/// Renders an Experiment: header and tree.
#[must_use]
pub fn render_experiment(page: &ExperimentPage, paint: Paint) -> String {
    let view = &page.experiment;
    let mut lines: Vec<(&str, Line)> = vec![
        ("Name:", view.name.as_str().into()),
        ("Namespace:", page.namespace.as_str().into()),
        ("Status:", state(view.icon, phase_word(view.status))),
    ];
    if !view.message.is_empty() {
        lines.push(("Message:", view.message.as_str().into()));
    }
    if let Some(end) = page.runs_until {
        let left = end.duration_since(page.now);
        let what = if left.is_positive() {
            format!("the end of its duration in {}", human_duration(left))
        } else {
            "the controller to end it: its duration is over".to_owned()
        };
        lines.push(("Waiting for:", what.into()));
    }
    lines.extend(images(&page.images));
    let mut tree = Tree { rows: vec![heading()], now: page.now };
    tree.experiment(view, &Branch::default());
    format!("{}\n{}", block(&lines, paint), table::render(&tree.rows, &[], paint))
}

/// Renders the state of an Experiment in one line, for logs.
#[must_use]
pub fn render_experiment_summary(page: &ExperimentPage) -> String {
    let view = &page.experiment;
    let word = phase_word(view.status);
    let mut parts = vec![if word.is_empty() { "not looked at yet".to_owned() } else { word.to_owned() }];
    parts.extend(Some(view.message.clone()).filter(|message| !message.is_empty()));
    for set in &view.sets {
        let name = set.template.as_ref().unwrap_or(&set.name);
        parts.push(format!("{name} {} of {} available", set.available, set.desired));
        parts.extend(set.trouble());
    }
    parts.extend(view.runs.iter().map(|run| format!("{} {}", run.name, phase_word(run.status))));
    parts.join("; ")
}

fn heading() -> Vec<Line> {
    ["NAME", "KIND", "STATUS", "AGE", "INFO"].map(Line::from).into()
}

/// Renders the tree.
fn tree(view: &RolloutView, paint: Paint) -> String {
    let mut tree = Tree { rows: vec![heading()], now: view.now };
    let name = Line::from(format!("⟳ {}", view.name));
    tree.row(name, "Rollout", state(view.icon, view.status.as_str()), view.created, Line::default());
    let last = view.revisions.len().saturating_sub(1);
    for (index, revision) in view.revisions.iter().enumerate() {
        tree.revision(revision, &Branch::default().child(index == last));
    }
    table::render(&tree.rows, &[], paint)
}

/// Where a row hangs in the tree: what stands before its icon, and before the icons of its children.
#[derive(Clone, Default)]
struct Branch {
    own: String,
    children: String,
}

impl Branch {
    fn child(&self, is_last: bool) -> Self {
        let (own, children) = if is_last { ("└──", "   ") } else { ("├──", "│  ") };
        Self { own: format!("{}{own}", self.children), children: format!("{}{children}", self.children) }
    }
}

/// The rows of the tree so far.
struct Tree {
    rows: Vec<Vec<Line>>,
    now: Timestamp,
}

impl Tree {
    fn row(&mut self, name: Line, kind: &str, state: Line, created: Option<Timestamp>, info: Line) {
        self.rows.push(vec![name, kind.into(), state, age(created, self.now).into(), info]);
    }

    fn revision(&mut self, revision: &RevisionView, branch: &Branch) {
        let name = format!("{}# revision:{}", branch.own, revision.revision);
        self.rows.push(vec![name.into()]);
        let total = revision.sets.len() + revision.experiments.len() + revision.runs.len();
        let branches: Vec<Branch> = (1..=total).map(|number| branch.child(number == total)).collect();
        let mut branches = branches.iter();
        for (set, branch) in revision.sets.iter().zip(&mut branches) {
            self.set(set, branch);
        }
        for (experiment, branch) in revision.experiments.iter().zip(&mut branches) {
            self.experiment(experiment, branch);
        }
        for (run, branch) in revision.runs.iter().zip(&mut branches) {
            self.run(run, branch);
        }
    }

    fn set(&mut self, set: &SetView, branch: &Branch) {
        let color = set.tags.last().map_or(Color::Default, |tag| tag_color(tag));
        let name = Line::from(format!("{}⧉ ", branch.own)).color(&set.name, color);
        let mut info: Vec<Line> =
            set.tags.iter().map(|tag| Line::default().color(*tag, tag_color(tag))).collect();
        if let Some(at) = set.scale_down_at {
            let left = at.duration_since(self.now);
            let left = if left.is_negative() { "passed".to_owned() } else { human_duration(left) };
            info.push(format!("delay:{left}").into());
        }
        self.row(
            name,
            "ReplicaSet",
            state(set.icon, set.status.as_str()),
            set.created,
            Line::join(info, ","),
        );
        let last = set.pods.len().saturating_sub(1);
        for (index, pod) in set.pods.iter().enumerate() {
            let name = format!("{}□ {}", branch.child(index == last).own, pod.name);
            let mut info = format!("ready:{}/{}", pod.ready, pod.containers);
            if pod.restarts > 0 {
                info += &format!(",restarts:{}", pod.restarts);
            }
            self.row(name.into(), "Pod", state(pod.icon, &pod.status), pod.created, info.into());
        }
    }

    fn experiment(&mut self, experiment: &ExperimentView, branch: &Branch) {
        let name =
            Line::from(format!("{}Σ ", branch.own)).color(&experiment.name, phase_color(experiment.status));
        let word = phase_word(experiment.status);
        self.row(name, "Experiment", state(experiment.icon, word), experiment.created, Line::default());
        let total = experiment.sets.len() + experiment.runs.len();
        let branches: Vec<Branch> = (1..=total).map(|number| branch.child(number == total)).collect();
        let mut branches = branches.iter();
        for (set, branch) in experiment.sets.iter().zip(&mut branches) {
            self.set(set, branch);
        }
        for (run, branch) in experiment.runs.iter().zip(&mut branches) {
            self.run(run, branch);
        }
    }

    fn run(&mut self, run: &RunView, branch: &Branch) {
        let name = Line::from(format!("{}α ", branch.own)).color(&run.name, phase_color(run.status));
        let info = run
            .counts()
            .into_iter()
            .map(|(icon, count)| Line::default().icon(icon).text(format!(" {count}")));
        let info = Line::join(info, ",");
        self.row(name, "AnalysisRun", state(run.icon, phase_word(run.status)), run.created, info);
        let last = run.jobs.len().saturating_sub(1);
        for (index, job) in run.jobs.iter().enumerate() {
            self.job(job, &branch.child(index == last));
        }
    }

    fn job(&mut self, job: &JobView, branch: &Branch) {
        let name = Line::from(format!("{}⊞ ", branch.own)).color(&job.name, phase_color(job.status));
        self.row(name, "Job", state(job.icon, phase_word(job.status)), job.started, Line::default());
    }
}

/// An icon and a word.
fn state(icon: Icon, word: &str) -> Line {
    Line::default().icon(icon).text(format!(" {word}"))
}

fn phase_word(phase: Option<AnalysisPhase>) -> &'static str {
    phase.map_or("", AnalysisPhase::as_str)
}

/// Colours what is still going on.
fn phase_color(phase: Option<AnalysisPhase>) -> Color {
    match phase {
        Some(AnalysisPhase::Pending | AnalysisPhase::Running) => Color::Blue,
        Some(
            AnalysisPhase::Successful
            | AnalysisPhase::Failed
            | AnalysisPhase::Error
            | AnalysisPhase::Inconclusive
            | AnalysisPhase::Unknown,
        )
        | None => Color::Default,
    }
}

/// Colours the roles of ReplicaSets.
fn tag_color(tag: &str) -> Color {
    match tag {
        "canary" => Color::Yellow,
        "stable" | "active" => Color::Green,
        "preview" | "ping" | "pong" => Color::Blue,
        _ => Color::Default,
    }
}
