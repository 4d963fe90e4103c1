//! `set image NAME CONTAINER=IMAGE...`: changes images in the pod template.

use anyhow::{Result, anyhow};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::guard;
use super::undo::target;
use crate::Exit;
use crate::kind::Kind;
use crate::session::{Failure, Session};

/// How often a change is tried when others change the object at the same time.
const ATTEMPTS: usize = 5;

/// Change a rollout.
#[derive(Debug, Args)]
pub(crate) struct Set {
    #[command(subcommand)]
    what: SetWhat,
}

/// What to change.
#[derive(Debug, Subcommand)]
enum SetWhat {
    /// Change images of a rollout.
    Image(SetImage),
}

/// Which images to change.
#[derive(Debug, Args)]
struct SetImage {
    /// Name of the rollout.
    name: String,
    /// Container and its new image; * stands for all containers.
    #[arg(required = true, value_name = "CONTAINER=IMAGE", value_parser = parse_image)]
    images: Vec<(String, String)>,
    /// Do it even if an Application will undo it.
    #[arg(long)]
    force: bool,
}

fn parse_image(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((container, image)) if !container.is_empty() && !image.is_empty() && !image.contains('=') => {
            Ok((container.to_owned(), image.to_owned()))
        }
        Some(_) | None => Err(anyhow!("must be CONTAINER=IMAGE, such as web=registry/web:2")),
    }
}

impl Set {
    /// Makes the change.
    pub(crate) async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        match &self.what {
            SetWhat::Image(image) => image.run(session).await,
        }
    }
}

impl SetImage {
    async fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        let mut conflict = None;
        for _ in 0..ATTEMPTS {
            match self.attempt(session).await? {
                Ok((kind, name)) => {
                    session.terminal.say(&format!("{} \"{name}\" image updated", kind.word()))?;
                    return Ok(Exit::Done);
                }
                Err(error) => conflict = Some(error),
            }
        }
        Err(conflict.unwrap_or_else(|| anyhow!("rollout {:?} could not be changed", self.name)))
    }

    /// Reads, changes and writes the object; a conflict is returned inside, to be tried again.
    async fn attempt(&self, session: &mut Session<'_>) -> Result<Result<(Kind, String), anyhow::Error>> {
        let rollout = session.object(Kind::Rollout, &self.name).await?;
        let (kind, name, template) = target(&rollout)?;
        let mut object = if kind == Kind::Rollout { rollout } else { session.object(kind, &name).await? };
        for (container, image) in &self.images {
            set_image(&mut object.data, template, container, image)
                .map_err(|error| error.context(format!("{} {name:?}", kind.word())))?;
        }
        if !self.force {
            let images: Vec<String> =
                self.images.iter().map(|(container, image)| format!("{container}={image}")).collect();
            let commit = format!("image {}", images.join(" "));
            guard::refuse_if_healed(session, &object, &commit).await?;
        }
        match session.replace(kind, &name, &object).await {
            Ok(()) => Ok(Ok((kind, name))),
            Err(Failure::Conflict(error)) => Ok(Err(error)),
            Err(failure @ (Failure::NotFound(_) | Failure::Other(_))) => Err(failure.into()),
        }
    }
}

/// Changes the image of a container, or of all for `*`. `template` is where the object keeps its pod template.
fn set_image(object: &mut Value, template: &str, container: &str, image: &str) -> Result<()> {
    let mut names = Vec::new();
    let mut is_found = false;
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let path = format!("{template}/spec/{list}");
        let containers = object.pointer_mut(&path).and_then(Value::as_array_mut);
        for entry in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
            let name = entry.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            if container == "*" || container == name {
                entry.insert("image".to_owned(), Value::from(image));
                is_found = true;
            }
            names.push(name);
        }
    }
    if is_found {
        return Ok(());
    }
    Err(anyhow!("unable to find container named \"{container}\": there are {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::{parse_image, set_image};
    use serde_json::{Value, json};

    fn object() -> Value {
        json!({ "spec": { "template": { "spec": {
            "initContainers": [{ "name": "init", "image": "a" }],
            "containers": [{ "name": "web", "image": "b" }, { "name": "proxy", "image": "c" }],
        } } } })
    }

    #[test]
    fn one_container_or_all() {
        let mut one = object();
        set_image(&mut one, "/spec/template", "web", "new").unwrap();
        let spec = &one["spec"]["template"]["spec"];
        assert_eq!(
            (&spec["containers"][0]["image"], &spec["containers"][1]["image"]),
            (&json!("new"), &json!("c"))
        );
        let mut all = object();
        set_image(&mut all, "/spec/template", "*", "new").unwrap();
        assert_eq!(all.to_string().matches("\"new\"").count(), 3);
    }

    #[test]
    fn a_pod_template_keeps_its_containers_elsewhere() {
        let mut template =
            json!({ "template": { "spec": { "containers": [{ "name": "web", "image": "b" }] } } });
        set_image(&mut template, "/template", "web", "new").unwrap();
        assert_eq!(template["template"]["spec"]["containers"][0]["image"], "new");
    }

    #[test]
    fn a_container_that_is_not_there_is_told_with_those_that_are() {
        let error = set_image(&mut object(), "/spec/template", "app", "new").unwrap_err();
        assert_eq!(error.to_string(), "unable to find container named \"app\": there are init, web, proxy");
    }

    #[test]
    fn images_have_one_form() {
        assert_eq!(parse_image("web=r:5000/a:1").unwrap(), ("web".to_owned(), "r:5000/a:1".to_owned()));
        for text in ["web", "=a", "web=", "a=b=c"] {
            assert!(parse_image(text).is_err(), "{text}");
        }
    }
}
