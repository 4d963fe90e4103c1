//! Objects as they change: watches of several kinds, kept as one picture of what is there.

use std::collections::BTreeMap;

use anyhow::Result;
use futures::StreamExt;
use futures::stream::{BoxStream, SelectAll};
use kube::ResourceExt;
use kube::api::{Api, DynamicObject};
use kube::runtime::{WatchStreamExt, watcher};

use crate::kind::Kind;
use crate::objects::{Collected, OWNED};
use crate::session::{Session, decode};

/// What a watch reported.
type Report = (Kind, watcher::Result<watcher::Event<DynamicObject>>);

/// Objects of several kinds, kept up to date.
pub(crate) struct Live {
    reports: SelectAll<BoxStream<'static, Report>>,
    kinds: BTreeMap<Kind, Watched>,
    /// The kind without which there is no picture.
    main: Kind,
}

/// The objects of one kind by namespace and name.
#[derive(Default)]
struct Watched {
    objects: BTreeMap<(String, String), DynamicObject>,
    /// The objects of a list that is still coming in.
    incoming: BTreeMap<(String, String), DynamicObject>,
    /// The objects were complete once, or cannot be had.
    is_complete: bool,
}

/// What changed.
#[derive(Debug)]
pub(crate) enum Change {
    /// Objects; the picture is new.
    Objects,
    /// Nothing, but a watch is in trouble; it is tried again.
    Trouble(Kind, watcher::Error),
}

impl Live {
    /// Watches one Rollout and nothing else.
    pub(crate) fn one(session: &Session<'_>, name: &str) -> Self {
        Self::one_of(session, Kind::Rollout, name)
    }

    /// Watches one object of a kind.
    pub(crate) fn one_of(session: &Session<'_>, kind: Kind, name: &str) -> Self {
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        Self::many_of(kind, session.api(kind), config)
    }

    /// Watches one Rollout and the kinds that it owns.
    pub(crate) fn one_with_owned(session: &Session<'_>, name: &str) -> Self {
        let mut live = Self::one(session, name);
        for (kind, label) in OWNED {
            let config = watcher::Config::default();
            let config = if let Some(label) = label { config.labels(label) } else { config };
            live.watch(kind, session.api(kind), config);
        }
        live
    }

    /// Watches one Experiment and the kinds that it owns.
    pub(crate) fn experiment_with_owned(session: &Session<'_>, name: &str) -> Self {
        let mut live = Self::one_of(session, Kind::Experiment, name);
        live.main = Kind::Experiment;
        for (kind, label) in OWNED.into_iter().filter(|(kind, _)| *kind != Kind::Experiment) {
            let config = watcher::Config::default();
            let config = if let Some(label) = label { config.labels(label) } else { config };
            live.watch(kind, session.api(kind), config);
        }
        live
    }

    /// Watches many Rollouts.
    pub(crate) fn many(api: Api<DynamicObject>, config: watcher::Config) -> Self {
        Self::many_of(Kind::Rollout, api, config)
    }

    /// Watches many objects of a kind.
    pub(crate) fn many_of(kind: Kind, api: Api<DynamicObject>, config: watcher::Config) -> Self {
        let mut live = Self { reports: SelectAll::new(), kinds: BTreeMap::new(), main: Kind::Rollout };
        live.watch(kind, api, config);
        live
    }

    fn watch(&mut self, kind: Kind, api: Api<DynamicObject>, config: watcher::Config) {
        let reports = watcher(api, config).default_backoff().map(move |report| (kind, report));
        self.reports.push(reports.boxed());
        self.kinds.insert(kind, Watched::default());
    }

    /// Waits for the next change.
    pub(crate) async fn next(&mut self) -> Result<Change> {
        loop {
            let Some((kind, report)) = self.reports.next().await else {
                anyhow::bail!("the watches ended");
            };
            let watched = self.kinds.entry(kind).or_default();
            match report {
                Ok(event) => {
                    if watched.take(event) {
                        return Ok(Change::Objects);
                    }
                }
                Err(error) => {
                    // The picture goes without a kind that cannot be had, such as Experiments without a CRD; without
                    // the object itself there is no picture.
                    watched.is_complete |= kind != self.main;
                    return Ok(Change::Trouble(kind, error));
                }
            }
        }
    }

    /// Tells whether every kind was read once.
    pub(crate) fn is_complete(&self) -> bool {
        self.kinds.values().all(|watched| watched.is_complete)
    }

    /// Returns the objects of a kind.
    pub(crate) fn objects(&self, kind: Kind) -> impl Iterator<Item = &DynamicObject> {
        self.kinds.get(&kind).into_iter().flat_map(|watched| watched.objects.values())
    }

    /// Returns the Rollout with what it owns; nothing when it is gone.
    pub(crate) fn collected(&self) -> Result<Option<Collected>> {
        let Some(rollout) = self.objects(Kind::Rollout).next() else { return Ok(None) };
        Ok(Some(Collected { rollout: decode(rollout.clone())?, ..self.owned() }))
    }

    /// Returns the objects of the kinds that others own.
    pub(crate) fn owned(&self) -> Collected {
        let mut collected = Collected::default();
        for (kind, _) in OWNED {
            self.objects(kind).for_each(|object| collected.add(kind, object.clone()));
        }
        collected
    }
}

impl Watched {
    /// Takes in an event, and tells whether the objects have changed.
    fn take(&mut self, event: watcher::Event<DynamicObject>) -> bool {
        match event {
            watcher::Event::Init => self.incoming.clear(),
            watcher::Event::InitApply(object) => {
                self.incoming.insert(key(&object), object);
            }
            watcher::Event::InitDone => {
                self.objects = std::mem::take(&mut self.incoming);
                self.is_complete = true;
                return true;
            }
            watcher::Event::Apply(object) => {
                self.objects.insert(key(&object), object);
                return true;
            }
            watcher::Event::Delete(object) => {
                self.objects.remove(&key(&object));
                return true;
            }
        }
        false
    }
}

fn key(object: &DynamicObject) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use super::{Watched, watcher::Event};
    use crate::kind::Kind;
    use kube::api::DynamicObject;

    fn object(name: &str) -> DynamicObject {
        DynamicObject::new(name, &Kind::Pod.resource())
    }

    #[test]
    fn a_new_list_replaces_the_objects_only_once_it_is_complete() {
        let mut watched = Watched::default();
        for event in [Event::Init, Event::InitApply(object("a")), Event::InitApply(object("b"))] {
            assert!(!watched.take(event));
        }
        assert!(watched.objects.is_empty() && !watched.is_complete);
        assert!(watched.take(Event::InitDone));
        assert!(watched.take(Event::Delete(object("a"))));
        assert!(!watched.take(Event::Init));
        assert_eq!(watched.objects.len(), 1);
        assert!(!watched.take(Event::InitApply(object("c"))));
        assert!(watched.take(Event::InitDone));
        let names: Vec<&str> = watched.objects.keys().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["c"]);
    }
}
