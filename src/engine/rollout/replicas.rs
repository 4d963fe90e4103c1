//! How many pods each revision should have: the arithmetic of a canary, on plain numbers.
//!
//! Input: replica counts, weights and limits. Output: counts. It must never know about objects.
//! The formulas, rounding and order of preference are Argo Rollouts', because clients count pods.

/// What one ReplicaSet has: its `spec.replicas` and its available pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) spec: i32,
    pub(crate) available: i32,
}

/// The limits within which pods may be replaced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// `spec.replicas` of the Rollout.
    pub(crate) replicas: i32,
    /// Pods above `replicas` that may exist.
    pub(crate) surge: i32,
    /// Pods below `replicas` that may be available.
    pub(crate) unavailable: i32,
    /// The weight that stands for all traffic.
    pub(crate) max_weight: i32,
}

/// Wanted sizes of the new and the stable ReplicaSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) new: i32,
    pub(crate) stable: i32,
}

/// `ceil(weight * replicas / max_weight)`.
pub(crate) fn share_ceil(weight: i32, replicas: i32, max_weight: i32) -> i32 {
    let (product, whole) = (i64::from(weight) * i64::from(replicas), i64::from(max_weight.max(1)));
    clamp((product + whole - 1).div_euclid(whole))
}

/// `floor(weight * replicas / max_weight)`.
pub(crate) fn share_floor(weight: i32, replicas: i32, max_weight: i32) -> i32 {
    clamp((i64::from(weight) * i64::from(replicas)).div_euclid(i64::from(max_weight.max(1))))
}

/// A sum that stays at the largest number, for whoever asks for two thousand million replicas.
pub(crate) fn total(counts: impl Iterator<Item = i32>) -> i32 {
    counts.fold(0, i32::saturating_add)
}

fn clamp(number: i64) -> i32 {
    i32::try_from(number.max(0)).unwrap_or(i32::MAX)
}

/// Sizes at the end of the current step of a canary without a router, where pods carry the weight.
///
/// Ten replicas at weight 5 with a surge of one become one canary and ten stable pods: 1/11 is nearer to
/// 5 % than 1/10 is, and none at all is not allowed while the weight is neither 0 nor everything.
pub(crate) fn desired(limits: Limits, weight: i32, distinct_stable: bool) -> Counts {
    let Limits { replicas, surge, max_weight, .. } = limits;
    if !distinct_stable {
        return Counts { new: replicas, stable: 0 };
    }
    if replicas == 0 {
        return Counts { new: 0, stable: 0 };
    }
    let zero_allowed = weight == 0 || weight == max_weight || (replicas == 1 && surge == 0);
    let ceil = share_ceil(weight, replicas, max_weight);
    let floor = share_floor(weight, replicas, max_weight);
    let tied = |total: i32| {
        (i64::from(total) * i64::from(weight) * 2) % (i64::from(max_weight) * 2) == i64::from(max_weight)
    };
    let mut options = Vec::with_capacity(4);
    if ceil < replicas || zero_allowed {
        options.push((ceil, replicas));
    }
    if !tied(replicas) && (floor != 0 || zero_allowed) {
        options.push((floor, replicas));
    }
    if surge > 0 {
        let surged = replicas.saturating_add(1);
        options.push((ceil, surged));
        if !tied(surged) && (floor != 0 || zero_allowed) {
            options.push((floor, surged));
        }
    }
    let distance = |(canary, total): (i32, i32)| {
        (f64::from(canary) * f64::from(max_weight) / f64::from(total) - f64::from(weight)).abs()
    };
    let mut best: Option<(i32, i32)> = None;
    for option in options {
        if best.is_none_or(|known| distance(option) < distance(known)) {
            best = Some(option);
        }
    }
    best.map_or(Counts { new: 0, stable: replicas }, |(canary, total)| Counts {
        new: canary,
        stable: total - canary,
    })
}

/// The next sizes on the way to [`desired`]: up within the surge, down within what may be unavailable.
///
/// `all_spec` sums `spec.replicas` over every ReplicaSet, `others_spec` over those that are neither new nor stable.
pub(crate) fn next(
    limits: Limits,
    want: Counts,
    new: Option<Size>,
    stable: Option<Size>,
    all_spec: i32,
    others_spec: i32,
) -> Counts {
    let allowed = limits.replicas.saturating_add(limits.surge);
    let spec = |size: Option<Size>| size.map_or(0, |size| size.spec);
    let mut counts = Counts { new: spec(new), stable: spec(stable) };
    let mut budget = allowed - all_spec;
    if budget > 0 {
        if stable.is_some() && counts.stable < want.stable {
            let step = budget.min(want.stable - counts.stable);
            counts.stable += step;
            budget -= step;
        }
        if new.is_some() && counts.new < want.new {
            counts.new += budget.min(want.new - counts.new);
        }
    }
    if others_spec > 0 {
        // The others go first. When they may not, because too little is available, pods that never became available
        // must not hold the surge for ever: an aborted canary that crashes would keep the stable side from growing.
        if allowed <= all_spec {
            counts.new = without_unavailable(new, want.new, counts.new);
            counts.stable = without_unavailable(stable, want.stable, counts.stable);
        }
        return counts;
    }
    let increasing = new.is_none_or(|new| want.new >= new.spec);
    let min_available = limits.replicas - limits.unavailable;
    let pool = removable(new, !increasing).saturating_add(removable(stable, increasing));
    if pool <= min_available {
        return counts;
    }
    let budget_down = pool - min_available;
    if !increasing {
        counts.new = drain(new, want.new, budget_down, counts.new);
        let (new_count, stable_count) =
            within(new, stable, counts.new, counts.stable, allowed, min_available);
        counts = Counts { new: new_count, stable: stable_count };
    } else if stable.is_some() {
        counts.stable = drain(stable, want.stable, budget_down, counts.stable);
        let (stable_count, new_count) =
            within(stable, new, counts.stable, counts.new, allowed, min_available);
        counts = Counts { new: new_count, stable: stable_count };
    }
    counts
}

/// Pods that count against the budget for scaling down: unavailable ones go first, so they do not count
/// unless this is the side that shrinks.
fn removable(size: Option<Size>, ignore_availability: bool) -> i32 {
    let Some(size) = size else { return 0 };
    if size.spec < size.available || ignore_availability { size.spec } else { size.available }
}

/// Takes pods that are not available from a side that is to shrink anyway.
fn without_unavailable(size: Option<Size>, want: i32, count: i32) -> i32 {
    size.filter(|size| size.spec > want).map_or(count, |size| want.max(size.available.min(size.spec)))
}

fn drain(size: Option<Size>, want: i32, budget: i32, count: i32) -> i32 {
    match size {
        Some(size) if size.spec > want => want.max(size.spec - budget),
        Some(_) | None => count,
    }
}

/// Brings a pair of counts within the surge without giving up availability that is needed.
///
/// What is over the limit is taken from the side that is not being drained, given back as far as its
/// available pods are needed for the minimum, and what then remains is taken from the drained side.
fn within(
    drained: Option<Size>,
    other: Option<Size>,
    mut drained_count: i32,
    mut other_count: i32,
    allowed: i32,
    min_available: i32,
) -> (i32, i32) {
    let over = (drained_count.saturating_add(other_count) - allowed).max(0);
    let before = other_count;
    let mut available = drained.map_or(0, |size| size.available.min(drained_count));
    let mut lost = 0;
    if let Some(other) = other {
        other_count -= over;
        available = available.saturating_add(other.available.min(other_count));
        // A late status counts pods that are on their way out: nothing is given back beyond what was taken.
        lost = (other.available.min(before) - other_count).max(0);
    }
    if min_available > available {
        other_count += lost.min(min_available - available);
        drained_count -= (drained_count.saturating_add(other_count) - allowed).max(0);
    }
    (drained_count, other_count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settle(replicas: i32, weight: i32, unavailable: i32, surge: i32) -> (i32, i32) {
        let limits = Limits { replicas, surge, unavailable, max_weight: 100 };
        let want = desired(limits, weight, true);
        let new = Some(Size::default());
        let stable = Some(Size { spec: replicas, available: replicas });
        let counts = next(limits, want, new, stable, replicas, 0);
        (counts.new, counts.stable)
    }

    #[test]
    fn first_move_from_a_healthy_stable_matches_argo() {
        assert_eq!(settle(10, 10, 1, 1), (1, 9));
        assert_eq!(settle(10, 30, 0, 3), (3, 10));
        assert_eq!(settle(10, 30, 5, 0), (0, 7));
        assert_eq!(settle(10, 5, 1, 1), (1, 10));
        assert_eq!(settle(1, 5, 0, 1), (1, 1));
        assert_eq!(settle(1, 95, 0, 1), (1, 1));
    }

    #[test]
    fn without_a_stable_revision_everything_is_new() {
        let limits = Limits { replicas: 7, surge: 2, unavailable: 1, max_weight: 100 };
        assert_eq!(desired(limits, 10, false), Counts { new: 7, stable: 0 });
    }

    #[test]
    fn a_late_status_gives_no_pods_back_that_were_not_taken() {
        let limits = Limits { replicas: 5, surge: 2, unavailable: 1, max_weight: 100 };
        let want = Counts { new: 5, stable: 0 };
        let (new, stable) = (Size { spec: 6, available: 0 }, Size { spec: 1, available: 9 });
        let counts = next(limits, want, Some(new), Some(stable), 7, 0);
        assert!(counts.stable <= 1, "{counts:?}");
        let (new, stable) = (Size { spec: 1, available: 9 }, Size { spec: 6, available: 0 });
        let counts = next(limits, Counts { new: 0, stable: 5 }, Some(new), Some(stable), 7, 0);
        assert!(counts.new <= 1, "{counts:?}");
    }

    #[test]
    fn shares_round_as_named() {
        assert_eq!(share_ceil(20, 4, 100), 1);
        assert_eq!(share_floor(20, 4, 100), 0);
        assert_eq!(share_ceil(1, i32::MAX, 100), 21_474_837);
    }

    proptest! {
        /// Repeating the move while every pod becomes available reaches the wanted sizes and never leaves the limits.
        #[test]
        fn reaches_the_wanted_sizes_within_limits(
            replicas in 0..40i32, weight in 0..=100i32, surge in 0..10i32, unavailable in 0..10i32, start in 0..40i32,
        ) {
            let unavailable = if surge == 0 { unavailable.max(1) } else { unavailable }.min(replicas);
            let limits = Limits { replicas, surge, unavailable, max_weight: 100 };
            let want = desired(limits, weight, true);
            let new_start = start.min(replicas);
            let mut new = Size { spec: new_start, available: new_start };
            let mut stable = Size { spec: replicas - new_start, available: replicas - new_start };
            for _ in 0..200 {
                let counts = next(limits, want, Some(new), Some(stable), new.spec + stable.spec, 0);
                prop_assert!(counts.new >= 0 && counts.stable >= 0);
                prop_assert!(counts.new + counts.stable <= (replicas + surge).max(new.spec + stable.spec));
                let available = counts.new.min(new.available) + counts.stable.min(stable.available);
                prop_assert!(available >= (replicas - unavailable).min(new.available + stable.available));
                new = Size { spec: counts.new, available: counts.new };
                stable = Size { spec: counts.stable, available: counts.stable };
            }
            prop_assert_eq!((new.spec, stable.spec), (want.new, want.stable));
        }
    }
}
