//! The tests on a real cluster, and how they are run: all at once, each in a
//! namespace of its own.
//!
//! # Adding a test
//! Write an `async fn name(scene: Arc<Scene>) -> Result<()>` in a file below
//! `tests/` and add it to `all` with what it needs of the cluster. A test says
//! its steps with `scene.given`, `when` and `then`, applies YAML with
//! `scene.apply`, waits with `scene.until…` (a watch, never a sleep), sends
//! requests with `scene.load(host, per_second)`, and asks Prometheus or Git
//! through `scene.cluster()`. When it fails, its steps, the objects' states, the
//! events and the controller's log are printed.
//!
//! A test that lists `Need::Tidegate` finds Tidegate installed by its chart
//! (`install.rs`): built from this workspace, once for all tests of a run. With
//! `Need::Sync`, Applications may write to the test's namespace as well, by the
//! chart's own rights and no others.
//!
//! `cargo run -p e2e -- cluster up` and then `cargo run -p e2e -- test FILTER
//! --cluster dev` runs tests again and again on one cluster.

mod access;
mod admission;
mod blue_green;
pub(crate) mod campaign;
mod canary;
mod canary_steps;
mod chance;
mod client;
mod dashboard;
mod delivery;
mod experiment;
mod fails_fast;
mod figures;
pub(crate) mod handover;
mod httproute;
mod judged;
mod kills;
mod kinds;
mod openshift;
mod plugin;
mod plugin_git;
mod providers;
mod router;
mod shop;
mod smoke;
mod sync;
mod sync_differences;
mod sync_waves;
pub(crate) mod takeover;
mod templates;
mod together;
mod upstream_blue_green;
mod upstream_experiment;
mod upstream_plugin;
mod watched;
mod witness;
mod workload_ref;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use futures::future::LocalBoxFuture;
use futures::{FutureExt, StreamExt};

use crate::cluster::Cluster;
use crate::foreign;
use crate::install;
use crate::say;
use crate::scene::Scene;

/// No test takes longer.
const LIMIT: Duration = Duration::from_secs(300);
/// So many run at once: waiting is most of what they do.
const AT_ONCE: usize = 8;

/// Something not every cluster has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// The harness's own cluster, with Prometheus, Git and a network to enter.
    OwnCluster,
    /// A data plane that reads NGINX's Ingress annotations.
    Ingress,
    /// Tidegate, installed by its chart.
    Tidegate,
    /// The same, and Applications may write to the test's namespace.
    Sync,
    /// OpenShift's Route and a router for it. The kind comes only after Tidegate.
    Route,
}

type Run = fn(Arc<Scene>) -> LocalBoxFuture<'static, Result<()>>;

/// One test.
pub(crate) struct Case {
    name: &'static str,
    needs: &'static [Need],
    run: Run,
}

/// How one test ended.
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) took: Duration,
    pub(crate) result: Result<()>,
}

macro_rules! cases {
    ($($module:ident::$name:ident $needs:expr),* $(,)?) => {
        vec![$(Case {
            name: concat!(stringify!($module), "::", stringify!($name)),
            needs: &$needs,
            run: |scene| $module::$name(scene).boxed_local(),
        }),*]
    };
}

/// Every test there is.
fn all() -> Vec<Case> {
    [of_the_cluster(), of_rollouts(), of_clients(), of_git()].into_iter().flatten().collect()
}

/// The cluster itself, what users write, and what the API server refuses.
fn of_the_cluster() -> Vec<Case> {
    use Need::{Ingress, OwnCluster, Tidegate};
    cases![
        smoke::a_deployment_becomes_ready [],
        smoke::a_service_answers_through_kube_proxy [OwnCluster],
        smoke::a_canary_ingress_splits_the_traffic [Ingress],
        smoke::names_resolve_inside_pods [],
        smoke::prometheus_counts_what_the_application_answered [OwnCluster],
        smoke::a_repository_can_be_cloned_over_http [OwnCluster],
        smoke::a_private_repository_demands_credentials [OwnCluster],
        kinds::take_the_manifests_of_users_verbatim [Tidegate],
        admission::refuses_what_the_controller_would_call_invalid [Tidegate],
        admission::leaves_the_controller_and_old_rollouts_alone [Tidegate],
    ]
}

/// Rollouts, Experiments and AnalysisRuns under way.
fn of_rollouts() -> Vec<Case> {
    use Need::{Ingress, OwnCluster, Route, Tidegate};
    cases![
        canary::gets_its_share_and_loses_nothing [Tidegate, Ingress],
        canary::gives_the_traffic_back_when_aborted [Tidegate, Ingress],
        canary::aborts_by_itself_when_prometheus_says_so [Tidegate, Ingress, OwnCluster],
        canary::aborts_whatever_else_is_wrong [Tidegate, Ingress],
        canary::without_a_router_pods_carry_the_weight [Tidegate],
        canary::a_malformed_neighbour_stops_nobody [Tidegate],
        canary_steps::testers_come_first_behind_an_ingress [Tidegate, Ingress],
        canary_steps::testers_go_back_when_an_ingress_is_aborted [Tidegate, Ingress],
        canary_steps::testers_come_first_behind_an_httproute [Tidegate, OwnCluster],
        canary_steps::two_services_take_turns [Tidegate, OwnCluster],
        workload_ref::takes_over_from_a_deployment_and_loses_nothing [Tidegate, Ingress],
        workload_ref::says_which_workload_is_missing [Tidegate, Ingress],
        canary::goes_on_after_the_controller_dies [Tidegate, Ingress],
        kills::of_the_controller_lose_nothing [Tidegate, Ingress, OwnCluster],
        blue_green::switches_when_a_person_promotes_it [Tidegate, Ingress],
        blue_green::goes_back_when_aborted_after_the_switch [Tidegate, Ingress, OwnCluster],
        blue_green::goes_back_at_once_within_the_delay [Tidegate, Ingress],
        blue_green::gives_an_active_service_made_anew_to_the_stable_version [Tidegate],
        blue_green::gives_services_back_that_it_uses_no_more [Tidegate, Ingress],
        experiment::compares_two_versions_and_leaves_nothing [Tidegate, OwnCluster],
        experiment::is_a_step_of_a_canary [Tidegate, OwnCluster],
        experiment::aborts_the_canary_when_it_fails [Tidegate, OwnCluster],
        fails_fast::names_what_keeps_pods_from_running [Tidegate],
        fails_fast::names_the_quota [Tidegate],
        providers::promote_a_canary_by_the_web_and_a_job [Tidegate, OwnCluster],
        providers::abort_a_canary_when_its_job_fails [Tidegate, OwnCluster],
        providers::end_the_job_of_a_run_that_is_ended [Tidegate, OwnCluster],
        providers::leave_an_image_that_is_missing_to_a_person [Tidegate, OwnCluster],
        templates::tell_good_from_bad_by_real_series [Tidegate, OwnCluster],
        judged::lets_a_good_release_pass [Tidegate, OwnCluster],
        judged::aborts_a_release_with_errors [Tidegate, OwnCluster],
        judged::aborts_a_release_that_is_slow [Tidegate, OwnCluster],
        httproute::gets_its_share_and_loses_nothing [Tidegate, OwnCluster],
        httproute::gives_the_traffic_back_when_aborted [Tidegate, OwnCluster],
        httproute::stable_pods_follow_the_traffic_and_come_back [Tidegate, OwnCluster],
        httproute::gives_an_experiment_its_share [Tidegate, OwnCluster],
        openshift::is_served_once_its_kind_is_there [Tidegate, Route],
        openshift::gets_its_share_and_loses_nothing [Tidegate, Route],
        openshift::gives_the_traffic_back_when_aborted [Tidegate, Route],
    ]
}

/// What people drive it with: our plugin, upstream's, the dashboard.
fn of_clients() -> Vec<Case> {
    use Need::{Ingress, OwnCluster, Tidegate};
    cases![
        plugin::moves_a_rollout_and_ends_as_a_job_expects [Tidegate],
        plugin::takes_a_version_back [Tidegate],
        plugin::explains_a_canary_and_remembers_its_revisions [Tidegate, Ingress],
        upstream_plugin::shows_a_canary_and_promotes_it [Tidegate, Ingress, OwnCluster],
        upstream_plugin::takes_a_canary_back [Tidegate, Ingress],
        upstream_plugin::pauses_and_restarts [Tidegate, Ingress],
        upstream_plugin::lints_creates_and_ends [Tidegate, OwnCluster],
        upstream_blue_green::shows_promotes_and_goes_back [Tidegate, Ingress, OwnCluster],
        upstream_experiment::shows_ends_and_tries_again [Tidegate, OwnCluster],
        dashboard::shows_and_moves_a_rollout [Tidegate, Ingress],
        dashboard::shows_and_switches_a_blue_green [Tidegate, Ingress],
    ]
}

/// The Git half, alone and together with canaries.
fn of_git() -> Vec<Case> {
    use Need::{Ingress, OwnCluster, Route, Sync};
    cases![
        together::git_and_a_canary_share_an_ingress [Sync, OwnCluster, Ingress],
        together::git_and_a_canary_share_an_httproute [Sync, OwnCluster],
        together::git_and_a_canary_share_a_route [Sync, OwnCluster, Route],
        plugin_git::syncs_compares_and_rolls_back [Sync, OwnCluster],
        plugin_git::waits_for_what_automation_does [Sync, OwnCluster],
        sync::follows_the_repository [Sync, OwnCluster],
        sync::prunes_nothing_that_git_did_not_take_away [Sync, OwnCluster],
        sync::reads_a_private_repository_with_its_secret [Sync, OwnCluster],
        access::follows_a_push_that_the_server_tells_of [Sync, OwnCluster, Ingress],
        access::reads_over_ssh_only_from_a_host_that_is_known [Sync, OwnCluster],
        sync::heals_what_people_change_and_never_a_canary [Sync, OwnCluster, Ingress],
        sync::says_what_it_cannot_do_and_does_the_rest [Sync, OwnCluster],
        sync::keeps_to_its_namespace [Sync, OwnCluster],
        sync_differences::keeps_the_replicas_that_others_set [Sync, OwnCluster],
        sync_differences::keeps_what_an_expression_selects [Sync, OwnCluster],
        sync_differences::keeps_the_fields_of_a_manager_and_no_others [Sync, OwnCluster],
        sync_differences::tells_how_its_objects_are [Sync, OwnCluster],
        sync_waves::come_in_order_and_wait_for_each_other [Sync, OwnCluster],
        sync_waves::a_failed_hook_stops_the_sync_and_says_why [Sync, OwnCluster],
        sync_waves::go_back_to_an_older_commit [Sync, OwnCluster],
    ]
}

/// Runs the tests whose names contain `filter`.
pub(crate) async fn run(cluster: Arc<Cluster>, filter: &str) -> Result<Vec<Outcome>> {
    let mut chosen: Vec<Case> = all().into_iter().filter(|case| case.name.contains(filter)).collect();
    let lacks = lacks(&cluster);
    chosen.retain(|case| {
        let missing: Vec<&Need> = case.needs.iter().filter(|need| lacks.contains(need)).collect();
        if !missing.is_empty() {
            say(format!("  skip {} (this cluster lacks {missing:?})", case.name));
        }
        missing.is_empty()
    });
    let chosen: Vec<_> = chosen.into_iter().map(|case| (namespace_of(case.name), case)).collect();
    prepare(&cluster, &chosen).await.context("cannot install Tidegate")?;
    let outcomes = futures::stream::iter(chosen)
        .map(|(namespace, case)| run_case(Arc::clone(&cluster), namespace, case))
        .buffer_unordered(AT_ONCE)
        .inspect(tell)
        .collect()
        .await;
    Ok(outcomes)
}

/// Installs Tidegate where a test needs it; namespaces that Applications write to must be there before.
async fn prepare(cluster: &Cluster, chosen: &[(String, Case)]) -> Result<()> {
    if !chosen
        .iter()
        .any(|(_, case)| case.needs.iter().any(|need| [Need::Tidegate, Need::Sync].contains(need)))
    {
        return Ok(());
    }
    let synced: Vec<&str> = chosen
        .iter()
        .filter(|(_, case)| case.needs.contains(&Need::Sync))
        .map(|(namespace, _)| namespace.as_str())
        .collect();
    for namespace in &synced {
        Scene::namespace_in(cluster, namespace).await?;
    }
    let reach = (!synced.is_empty()).then(|| format!("sync.namespaces={{{}}}", synced.join(",")));
    let values = ["sync.enabled=true", "sync.pollSeconds=2", "sync.webhook.enabled=true"]
        .into_iter()
        .chain(reach.as_deref());
    install::with_values(cluster, &values.collect::<Vec<_>>()).await?;
    let needs_route = chosen.iter().any(|(_, case)| case.needs.contains(&Need::Route));
    if needs_route && !chosen.iter().any(|(_, case)| case.name == openshift::BRINGS_THE_KIND) {
        foreign::apply_route(cluster.client()).await?;
    }
    Ok(())
}

fn lacks(cluster: &Cluster) -> BTreeSet<Need> {
    let mut lacks = BTreeSet::new();
    if cluster.node_address().is_err() {
        lacks.insert(Need::OwnCluster);
        lacks.insert(Need::Route);
    }
    if cluster.ingress().is_err() {
        lacks.insert(Need::Ingress);
    }
    lacks
}

async fn run_case(cluster: Arc<Cluster>, namespace: String, case: Case) -> Outcome {
    let start = Instant::now();
    let result = match Scene::open(cluster, &namespace).await {
        Ok(scene) => play(Arc::new(scene), &case).await,
        Err(error) => Err(error),
    };
    Outcome { name: case.name.to_owned(), took: start.elapsed(), result }
}

async fn play(scene: Arc<Scene>, case: &Case) -> Result<()> {
    let run = AssertUnwindSafe((case.run)(Arc::clone(&scene))).catch_unwind();
    let result = match tokio::time::timeout(LIMIT, run).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(anyhow!("{}", text.unwrap_or_else(|| "it panicked".to_owned())))
        }
        Err(_late) => Err(anyhow!("it did not end within {} s", LIMIT.as_secs())),
    };
    let result = match result {
        Ok(()) => Ok(()),
        Err(error) => Err(anyhow!("{error:#}\n{}", scene.report().await)),
    };
    match scene.close().await {
        Ok(()) => result,
        Err(error) => result.and(Err(error)),
    }
}

/// A namespace's name: the test's, short enough, and different in each run, so
/// that a run need not wait until the last one's namespaces are gone.
fn namespace_of(name: &str) -> String {
    let text: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let text = text.replace("--", "-").replace("--", "-");
    let short: String = text.chars().take(48).collect();
    let unique = jiff::Timestamp::now().as_millisecond() % 1_000_000_000;
    format!("{}-{unique}", short.trim_end_matches('-'))
}

fn tell(outcome: &Outcome) {
    let seconds = outcome.took.as_secs_f64();
    match &outcome.result {
        Ok(()) => say(format!("  ok   {} ({seconds:.1} s)", outcome.name)),
        Err(error) => say(format!("  FAIL {} ({seconds:.1} s)\n{error:#}\n", outcome.name)),
    }
}

#[cfg(test)]
mod unit {
    use super::{all, namespace_of};

    #[test]
    fn every_name_makes_a_namespace() {
        for case in all() {
            let namespace = namespace_of(case.name);
            assert!(
                namespace.len() <= 63 && !namespace.contains("--") && !namespace.contains(':'),
                "{namespace}"
            );
        }
    }
}
