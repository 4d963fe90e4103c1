//! How many finished AnalysisRuns and Experiments are kept.
//!
//! Input: those that have ended and that nothing needs any more. Output: the names of those to delete. Both kinds have the
//! same limits, each for itself.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tidegate_api::phase::AnalysisPhase;

use super::core::Core;
use super::world::HASH_LABEL;

/// Chooses what history no longer keeps: of revisions without a ReplicaSet, or beyond the limits, newest kept.
pub(crate) fn forgotten<'w>(
    facts: &Core<'_>,
    ended: impl Iterator<Item = (&'w ObjectMeta, Option<AnalysisPhase>)>,
) -> Vec<String> {
    let mut ended: Vec<_> = ended.filter(|(metadata, _)| metadata.deletion_timestamp.is_none()).collect();
    ended.sort_by(|(a, _), (b, _)| {
        b.creation_timestamp.cmp(&a.creation_timestamp).then_with(|| b.name.cmp(&a.name))
    });
    let successful = facts.valid.successful_run_history_limit();
    let unsuccessful = facts.valid.unsuccessful_run_history_limit();
    let (mut kept_successful, mut kept_unsuccessful) = (0, 0);
    let mut forgotten = Vec::new();
    for (metadata, phase) in ended {
        let hash = metadata.labels.as_ref().and_then(|labels| labels.get(HASH_LABEL));
        let orphan = hash.is_none_or(|hash| facts.all.iter().all(|set| set.hash() != hash));
        let (kept, limit) = if phase == Some(AnalysisPhase::Successful) {
            (&mut kept_successful, successful)
        } else {
            (&mut kept_unsuccessful, unsuccessful)
        };
        // What goes anyway takes no place from what may stay.
        *kept += i32::from(!orphan);
        if orphan || *kept > limit {
            forgotten.push(metadata.name.clone().unwrap_or_default());
        }
    }
    forgotten
}
