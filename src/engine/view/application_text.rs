//! Renders Applications for a terminal: one with its objects, many in one line each, and their history.

use jiff::Timestamp;
use tidegate_api::source::{Application, HealthCode, History, OperationPhase, SyncCode};

use super::application::{ApplicationView, OperationView, ResourceView, short};
use super::duration::age;
use super::icon::{Icon, Line, Paint};
use super::table;

/// Width of the names in the header block.
const LABEL_WIDTH: usize = 17;

/// Which columns a list of Applications has beside the usual ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApplicationColumns {
    /// NAMESPACE, in front.
    pub namespace: bool,
    /// REPOSITORY, PATH, TARGET and WAITING FOR, at the end.
    pub wide: bool,
}

/// Renders one Application: the header block and the table of its objects.
#[must_use]
pub fn render_application(view: &ApplicationView, wide: bool, paint: Paint) -> String {
    let mut text = header(view, paint);
    if !view.resources.is_empty() {
        text += "\n";
        text += &resources(&view.resources, wide, paint);
    }
    text
}

/// Renders the state in one line, for logs.
#[must_use]
pub fn render_application_summary(view: &ApplicationView) -> String {
    let mut parts = vec![format!("{:?}", view.sync)];
    parts.push(format!("{:?}", view.health));
    if !view.revision.is_empty() {
        parts.push(format!("at {}", short(&view.revision)));
    }
    parts.extend(view.waiting_for.as_ref().map(|why| format!("waiting for {why}")));
    parts.join("; ")
}

fn header(view: &ApplicationView, paint: Paint) -> String {
    let mut lines: Vec<(&str, Line)> = vec![
        ("Name:", view.name.as_str().into()),
        ("Namespace:", view.namespace.as_str().into()),
        ("Project:", view.project.as_str().into()),
    ];
    for source in &view.sources {
        let line = format!("{} {:?} ({})", source.repository, source.path, source.target);
        lines.push(("Source:", line.into()));
    }
    let destination = format!("namespace {:?} of {}", view.destination, view.cluster);
    lines.push(("Destination:", destination.into()));
    lines.push(("Sync policy:", view.policy.as_str().into()));
    let revision = if view.revision.is_empty() { String::new() } else { format!(" ({})", view.revision) };
    lines.push(("Sync:", sync(view.sync).text(revision)));
    let why =
        if view.health_message.is_empty() { String::new() } else { format!(": {}", view.health_message) };
    lines.push(("Health:", health(view.health).text(why)));
    if let Some(why) = &view.waiting_for {
        lines.push(("Waiting for:", why.as_str().into()));
    }
    for condition in &view.conditions {
        let icon = if condition.type_.ends_with("Error") { Icon::Bad } else { Icon::Warning };
        let text = format!(" {}: {}", condition.type_, condition.message);
        lines.push(("Condition:", Line::default().icon(icon).text(text)));
    }
    if let Some(operation) = &view.operation {
        lines.push(("Last sync:", operation_line(operation, view.now)));
    }
    lines
        .iter()
        .map(|(label, line)| {
            format!("{label:LABEL_WIDTH$}{}", line.render(paint)).trim_end().to_owned() + "\n"
        })
        .collect()
}

fn operation_line(operation: &OperationView, now: Timestamp) -> Line {
    let icon = match operation.phase {
        OperationPhase::Running | OperationPhase::Terminating => Icon::Progressing,
        OperationPhase::Succeeded => Icon::Good,
        OperationPhase::Failed | OperationPhase::Error => Icon::Bad,
        OperationPhase::Unrecognised => Icon::Unknown,
    };
    let mut text = format!(" {:?}", operation.phase);
    if operation.is_dry {
        text += ", dry run";
    }
    if let Some(at) = operation.finished.or(operation.started) {
        text += &format!(", {} ago", age(Some(at), now));
    }
    if !operation.by.is_empty() {
        text += &format!(", asked for by {}", operation.by);
    }
    if !operation.message.is_empty() {
        text += &format!(": {}", operation.message);
    }
    Line::default().icon(icon).text(text)
}

/// Renders the table of objects.
#[must_use]
pub fn resources(resources: &[ResourceView], wide: bool, paint: Paint) -> String {
    let mut heading = vec!["GROUP", "KIND", "NAMESPACE", "NAME", "STATUS", "HEALTH", "HOOK"];
    if wide {
        heading.extend(["WAVE", "HEALTH MESSAGE"]);
    }
    heading.push("MESSAGE");
    let mut rows = vec![heading.into_iter().map(Line::from).collect()];
    for resource in resources {
        let mut row: Vec<Line> = vec![
            resource.group.as_str().into(),
            resource.kind.as_str().into(),
            resource.namespace.as_str().into(),
            resource.name.as_str().into(),
            resource.status.map_or_else(Line::default, sync),
            resource.health.map_or_else(Line::default, health),
            (if resource.hook { "yes" } else { "" }).into(),
        ];
        if wide {
            row.push(resource.wave.to_string().into());
            row.push(resource.health_message.as_str().into());
        }
        let prune = if resource.requires_pruning { "not in Git; " } else { "" };
        let message = format!("{prune}{}", resource.message);
        row.push(message.trim_end_matches("; ").into());
        rows.push(row);
    }
    table::render(&rows, &[], paint)
}

/// Renders many Applications, one line each.
#[must_use]
pub fn render_applications(
    views: &[ApplicationView],
    with_heading: bool,
    columns: ApplicationColumns,
    paint: Paint,
) -> String {
    let mut rows: Vec<Vec<Line>> = Vec::new();
    if with_heading {
        let mut heading = Vec::new();
        heading.extend(columns.namespace.then_some("NAMESPACE"));
        heading.extend(["NAME", "PROJECT", "SYNC", "HEALTH", "REVISION", "POLICY", "AGE"]);
        if columns.wide {
            heading.extend(["REPOSITORY", "PATH", "TARGET", "WAITING FOR"]);
        }
        rows.push(heading.into_iter().map(Line::from).collect());
    }
    for view in views {
        let mut row: Vec<Line> = Vec::new();
        row.extend(columns.namespace.then(|| view.namespace.as_str().into()));
        row.extend([view.name.as_str().into(), view.project.as_str().into()]);
        row.extend([sync(view.sync), health(view.health)]);
        row.extend([short(&view.revision).into(), view.policy.as_str().into()]);
        row.push(age(view.created, view.now).into());
        if columns.wide {
            let source = view.sources.first();
            let of = |field: fn(&super::application::SourceView) -> &str| source.map_or("", field);
            row.extend([of(|source| &source.repository).into(), of(|source| &source.path).into()]);
            row.push(of(|source| &source.target).into());
            row.push(view.waiting_for.as_deref().unwrap_or("-").into());
        }
        rows.push(row);
    }
    // Least widths keep lines that are printed later, one by one, in line with the heading.
    let namespace: &[usize] = if columns.namespace { &[9] } else { &[] };
    let widths = [namespace, &[10, 7, 11, 13, 8, 9, 3]].concat();
    table::render(&rows, &widths, paint)
}

/// Renders the history of an Application, oldest first; the last line is what is there now.
#[must_use]
pub fn render_application_history(application: &Application, wide: bool, paint: Paint) -> String {
    let entries =
        application.status.as_ref().and_then(|status| status.history.as_deref()).unwrap_or_default();
    let mut heading = vec!["ID", "DATE", "REVISION"];
    if wide {
        heading.extend(["BY", "STARTED", "TARGET", "PATH"]);
    }
    let mut rows = vec![heading.into_iter().map(Line::from).collect()];
    rows.extend(entries.iter().map(|entry| history_row(entry, wide)));
    table::render(&rows, &[], paint)
}

fn history_row(entry: &History, wide: bool) -> Vec<Line> {
    let date = |time: Option<Timestamp>| time.map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let date = |time| date(time).unwrap_or_default();
    let mut row: Vec<Line> = vec![
        entry.id.to_string().into(),
        date(entry.deployed_at.as_ref().map(|time| time.0)).into(),
        entry.revision.clone().unwrap_or_default().into(),
    ];
    if wide {
        let by = entry.initiated_by.clone().unwrap_or_default();
        let by = by.username.unwrap_or_else(|| match by.automated {
            Some(true) => "automation".to_owned(),
            Some(false) | None => String::new(),
        });
        let source = entry.source.clone().unwrap_or_default();
        row.push(by.into());
        row.push(date(entry.deploy_started_at.as_ref().map(|time| time.0)).into());
        row.push(source.target_revision.unwrap_or_default().into());
        row.push(source.path.unwrap_or_default().into());
    }
    row
}

fn sync(code: SyncCode) -> Line {
    let icon = match code {
        SyncCode::Synced => Icon::Good,
        SyncCode::OutOfSync => Icon::Warning,
        SyncCode::Unknown => Icon::Unknown,
    };
    Line::default().icon(icon).text(format!(" {code:?}"))
}

fn health(code: HealthCode) -> Line {
    let icon = match code {
        HealthCode::Healthy => Icon::Good,
        HealthCode::Suspended => Icon::Paused,
        HealthCode::Progressing => Icon::Progressing,
        HealthCode::Missing => Icon::Warning,
        HealthCode::Degraded => Icon::Bad,
        HealthCode::Unknown => Icon::Unknown,
    };
    Line::default().icon(icon).text(format!(" {code:?}"))
}
