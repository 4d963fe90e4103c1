//! From counters that only grow, and start again with their process, to what happened between two looks.

use std::collections::BTreeMap;

use super::{Look, Share};

/// What the counters of one pod say at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    pub requests: u64,
    pub bad: u64,
    /// Requests that took at most so many seconds, by growing bound.
    pub buckets: Vec<(f64, u64)>,
}

/// The counters of both sides, by the pod's name and, after a blank, the instance that counts: a router has several,
/// each of which starts again by itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    pub canary: BTreeMap<String, Counters>,
    pub stable: BTreeMap<String, Counters>,
}

/// The counters of one pod that are remembered: all requests, bad ones, all that were timed, and the fast ones at each edge.
/// Nothing at an edge for which the pod has no bucket.
pub(super) type Kept = Vec<Option<u64>>;

/// What is remembered of a pod's counters.
pub(super) fn keep(counters: &Counters, edges: &[f64]) -> Kept {
    let all = counters.buckets.last().map_or(0, |(_, count)| *count);
    let fast = edges
        .iter()
        .map(|edge| counters.buckets.iter().find(|(bound, _)| bound == edge).map(|(_, count)| *count));
    [counters.requests, counters.bad, all].map(Some).into_iter().chain(fast).collect()
}

/// How counters follow their last values.
#[derive(PartialEq)]
enum Course {
    Grown,
    /// They began again at 0, with their process.
    Anew,
    /// Some of what they are the sum of is gone, such as a series that expired: what happened since cannot be known.
    Cut,
}

/// Counters of a process that began again have most of their requests before them.
fn course(now: &Kept, last: &Kept) -> Course {
    let requests = now.first().copied().flatten().zip(last.first().copied().flatten());
    if requests.is_some_and(|(now, last)| now < last.div_ceil(2)) {
        Course::Anew
    } else if now.iter().zip(last).any(|pair| matches!(pair, (Some(now), Some(last)) if now < last)) {
        Course::Cut
    } else {
        Course::Grown
    }
}

/// What a pod did between two moments: a share for the errors, then one for each edge. A pod without a last value, or with
/// counters that were cut, counts from now on: nobody knows when they began. Where it has no bucket nothing is known of it,
/// least of all that it was fast.
fn since(last: Option<&Kept>, now: &Kept) -> Vec<Share> {
    let known = last.filter(|last| last.len() == now.len());
    let Some((last, course)) =
        known.map(|last| (last, course(now, last))).filter(|(_, it)| *it != Course::Cut)
    else {
        return vec![Share::default(); now.len().saturating_sub(2)];
    };
    let began = |last: u64| if course == Course::Anew { 0 } else { last };
    let grown = |at: usize| Some(now[at]? - last[at].map(began)?);
    let share = |all: usize, bad: Option<u64>| {
        grown(all).zip(bad).map_or_else(Share::default, |(all, bad)| Share::new(all, bad))
    };
    let slow = |at: usize| Some(grown(2)?.saturating_sub(grown(at)?));
    std::iter::once(share(0, grown(1))).chain((3..now.len()).map(|at| share(2, slow(at)))).collect()
}

/// The pod of a counter.
fn pod(counter: &str) -> &str {
    counter.split_once(' ').map_or(counter, |(pod, _)| pod)
}

/// The same for all pods of one side: for each comparison the shares of the pods, in the order of their names.
pub(super) fn shares(
    last: &BTreeMap<String, Kept>,
    now: &BTreeMap<String, Kept>,
    comparisons: usize,
) -> Vec<Vec<Share>> {
    let mut all = vec![Vec::new(); comparisons];
    let mut before = None;
    for (name, counters) in now {
        let is_next = before.replace(pod(name)) != Some(pod(name));
        for (comparison, share) in all.iter_mut().zip(since(last.get(name), counters)) {
            match comparison.last_mut() {
                Some(sum) if !is_next => *sum += share,
                Some(_) | None => comparison.push(share),
            }
        }
    }
    all
}

/// The place of each pod, in the order of their names: that which it had, or else a free one.
pub(super) fn places(taken: &mut Vec<String>, now: &BTreeMap<String, Kept>) -> Vec<usize> {
    let mut pods: Vec<&str> = now.keys().map(|name| pod(name)).collect();
    pods.dedup();
    let mut place = |name: &&str| {
        let own = taken.iter().position(|pod| pod == name);
        let found = own.or_else(|| taken.iter().position(|pod| !pods.contains(&pod.as_str())));
        match found {
            Some(at) => (*name).clone_into(&mut taken[at]),
            None => taken.push((*name).to_owned()),
        }
        found.unwrap_or(taken.len() - 1)
    };
    pods.iter().map(&mut place).collect()
}

/// The shares of pods, each at its place; where there is no pod there are no requests.
pub(super) fn placed(pods: &[Share], places: &[usize]) -> Vec<Share> {
    let mut all = vec![Share::default(); places.iter().max().map_or(0, |last| last + 1)];
    for (share, place) in pods.iter().zip(places) {
        all[*place] = *share;
    }
    all
}

/// Brings what is remembered up to date in a look that goes on: only counters that are new, began again, or were cut.
pub(super) fn hold(last: &mut BTreeMap<String, Kept>, now: BTreeMap<String, Kept>) {
    last.retain(|name, _| now.contains_key(name));
    for (name, counters) in now {
        match last.get_mut(&name) {
            Some(known) if known.len() == counters.len() => match course(&counters, known) {
                Course::Grown => {}
                Course::Anew => known.iter_mut().flatten().for_each(|count| *count = 0),
                Course::Cut => *known = counters,
            },
            Some(_) | None => {
                last.insert(name, counters);
            }
        }
    }
}

/// One look for each comparison.
pub(super) fn looks(canary: Vec<Vec<Share>>, stable: Vec<Vec<Share>>) -> Vec<Look> {
    canary.into_iter().zip(stable).map(|(canary, stable)| Look { canary, stable }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(all: &[(&str, &[u64])]) -> BTreeMap<String, Kept> {
        let all = all.iter().map(|(pod, counters)| ((*pod).to_owned(), counters.iter().copied().map(Some)));
        all.map(|(pod, counters)| (pod, counters.collect())).collect()
    }

    #[test]
    fn counters_may_start_again_and_pods_may_come_and_go() {
        let last = kept(&[("a", &[100, 3, 100, 90]), ("b", &[50, 50, 50, 50]), ("gone", &[9, 9, 9, 9])]);
        let now = kept(&[("a", &[110, 4, 110, 97]), ("b", &[7, 2, 7, 7]), ("new", &[99, 99, 99, 0])]);
        let got = shares(&last, &now, 2);
        let errors = [(10, 1), (7, 2), (0, 0)].map(|(requests, bad)| Share { requests, bad });
        let slow = [(10, 3), (7, 0), (0, 0)].map(|(requests, bad)| Share { requests, bad });
        assert_eq!(got, [errors.to_vec(), slow.to_vec()]);
    }

    #[test]
    fn pods_keep_their_places() {
        let mut taken = Vec::new();
        let mut at = |names: &[&str]| {
            places(&mut taken, &kept(&names.iter().map(|name| (*name, &[][..])).collect::<Vec<_>>()))
        };
        assert_eq!(at(&["a", "b", "c"]), [0, 1, 2]);
        assert_eq!(at(&["b", "c"]), [1, 2], "the one before them is gone");
        assert_eq!(at(&["b x", "b y", "c", "d", "e"]), [1, 2, 0, 3]);
        let shares = [5, 6].map(|requests| Share { requests, bad: 1 });
        assert_eq!(placed(&shares, &[2, 0]), [shares[1], Share::default(), shares[0]]);
    }

    #[test]
    fn counters_of_which_a_part_is_gone_say_nothing() {
        let last = kept(&[("a", &[1000, 30, 0]), ("b", &[1000, 30, 0]), ("c", &[10, 5, 0])]);
        let now = kept(&[("a", &[800, 30, 0]), ("b", &[1010, 0, 0]), ("c", &[12, 1, 0])]);
        assert_eq!(shares(&last, &now, 1), [vec![Share::default(); 3]]);
        let mut held = last;
        hold(&mut held, now.clone());
        assert_eq!(held, now);
    }

    #[test]
    fn a_router_counts_in_several_instances_and_is_one_pod() {
        let last = kept(&[(" one", &[100, 3, 0]), (" two", &[50, 1, 0]), ("p a", &[1, 0, 0])]);
        let now = kept(&[(" one", &[110, 4, 0]), (" two", &[5, 0, 0]), ("p a", &[2, 1, 0])]);
        let wanted = [Share { requests: 15, bad: 1 }, Share { requests: 1, bad: 1 }];
        assert_eq!(shares(&last, &now, 1), [wanted.to_vec()]);
    }

    #[test]
    fn a_look_that_goes_on_keeps_where_it_began() {
        let mut last = kept(&[("a", &[100, 3, 0]), ("b", &[50, 1, 0]), ("gone", &[9, 9, 9])]);
        hold(&mut last, kept(&[("a", &[110, 4, 0]), ("b", &[7, 0, 0]), ("new", &[5, 5, 5])]));
        assert_eq!(last, kept(&[("a", &[100, 3, 0]), ("b", &[0, 0, 0]), ("new", &[5, 5, 5])]));
    }

    #[test]
    fn only_the_edges_of_a_histogram_are_remembered() {
        let counters =
            Counters { requests: 9, bad: 1, buckets: vec![(0.1, 4), (1.0, 7), (f64::INFINITY, 8)] };
        assert_eq!(keep(&counters, &[1.0, 2.0]), [Some(9), Some(1), Some(8), Some(7), None]);
    }

    #[test]
    fn nobody_was_fast_where_nothing_counts_it() {
        let at = |count: u64, edge: Option<u64>| {
            BTreeMap::from([("a".to_owned(), vec![Some(count), Some(0), Some(count), edge])])
        };
        let slow = |last: Option<u64>, now: Option<u64>| shares(&at(10, last), &at(30, now), 2)[1][0];
        assert_eq!(slow(Some(5), Some(20)), Share { requests: 20, bad: 5 });
        for (last, now) in [(None, None), (None, Some(20)), (Some(5), None)] {
            assert_eq!(slow(last, now), Share::default());
        }
    }
}
