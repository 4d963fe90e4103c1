//! Renders a Rollout for a terminal: the header block, and the tree of its objects.
//!
//! Layout, icons and words are those of the Argo Rollouts plugin, so that eyes and scripts find them.

use super::duration::{age, human_duration};
use super::experiment::ExperimentView;
use super::icon::{Color, Icon, Line, Paint};
use super::rollout::{RevisionView, RolloutView, Strategy};
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
    for (index, image) in view.images.iter().enumerate() {
        let mut line = Line::from(image.image.as_str());
        if !image.tags.is_empty() {
            let tags = image.tags.iter().map(|tag| Line::default().color(tag, tag_color(tag)));
            line = line.text(" (").line(Line::join(tags, ", ")).text(")");
        }
        lines.push((if index == 0 { "Images:" } else { "" }, line));
    }
    let counts = view.replicas;
    lines.push(("Replicas:", Line::default()));
    lines.push(("  Desired:", counts.desired.to_string().into()));
    lines.push(("  Current:", counts.current.to_string().into()));
    lines.push(("  Updated:", counts.updated.to_string().into()));
    lines.push(("  Ready:", counts.ready.to_string().into()));
    lines.push(("  Available:", counts.available.to_string().into()));
    lines
        .iter()
        .map(|(label, line)| {
            format!("{label:LABEL_WIDTH$}{}", line.render(paint)).trim_end().to_owned() + "\n"
        })
        .collect()
}

/// Renders the tree.
fn tree(view: &RolloutView, paint: Paint) -> String {
    let heading = ["NAME", "KIND", "STATUS", "AGE", "INFO"];
    let mut tree = Tree { rows: vec![heading.iter().map(|word| Line::from(*word)).collect()], now: view.now };
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
