//! How this process reaches AWS: the variables and the file of credentials that all of AWS's own clients read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Credentials;

/// The variables of the process that matter here.
#[derive(Default)]
pub(crate) struct Settings(BTreeMap<String, String>);

impl Settings {
    /// Those of this process.
    pub(crate) fn of_process() -> Self {
        let texts = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self(texts.filter(|(name, _)| name.starts_with("AWS_") || name == "HOME").collect())
    }

    #[cfg(test)]
    pub(crate) fn new(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// A variable; one without a text is none.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// The region where nobody names one.
    pub(crate) fn region(&self) -> Option<&str> {
        self.text("AWS_REGION").or_else(|| self.text("AWS_DEFAULT_REGION"))
    }

    /// The address of the service that gives credentials of roles.
    pub(crate) fn token_service(&self, region: &str) -> String {
        let own = self.text("AWS_ENDPOINT_URL_STS").or_else(|| self.text("AWS_ENDPOINT_URL"));
        let china = if region.starts_with("cn-") { ".cn" } else { "" };
        own.map_or_else(
            || format!("https://sts.{region}.amazonaws.com{china}/"),
            |own| format!("{}/", own.trim_end_matches('/')),
        )
    }

    /// Keys in the environment.
    pub(crate) fn keys(&self) -> Option<Credentials> {
        Some(Credentials {
            access_key: self.text("AWS_ACCESS_KEY_ID")?.to_owned(),
            secret_key: self.text("AWS_SECRET_ACCESS_KEY")?.to_owned(),
            session_token: self.text("AWS_SESSION_TOKEN").map(str::to_owned),
        })
    }

    /// The shared file of credentials.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        let named = self.text("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
        named.or_else(|| Some(PathBuf::from(self.text("HOME")?).join(".aws/credentials")))
    }
}

/// The keys of a profile in the shared file.
pub(crate) fn profile(file: &str, name: &str) -> Option<Credentials> {
    let mut is_inside = false;
    let mut found: BTreeMap<&str, &str> = BTreeMap::new();
    for line in file.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            is_inside = section.trim() == name;
        } else if let (true, Some((key, value))) = (is_inside, line.split_once('=')) {
            found.insert(key.trim(), value.trim());
        }
    }
    let of = |key: &str| found.get(key).map(|value| (*value).to_owned());
    Some(Credentials {
        access_key: of("aws_access_key_id")?,
        secret_key: of("aws_secret_access_key")?,
        session_token: of("aws_session_token"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_sections_of_the_file() {
        let file = "[default]\naws_access_key_id = a\naws_secret_access_key=b\n# x\n[ other ]\naws_access_key_id=c\n\
                    aws_secret_access_key=d=\naws_session_token = e\n";
        let credentials = |access_key: &str, secret_key: &str, session_token: Option<&str>| Credentials {
            access_key: access_key.into(),
            secret_key: secret_key.into(),
            session_token: session_token.map(str::to_owned),
        };
        assert!(profile(file, "default") == Some(credentials("a", "b", None)));
        assert!(profile(file, "other") == Some(credentials("c", "d=", Some("e"))));
        assert!(profile(file, "none").is_none());
    }

    #[test]
    fn endpoints_follow_the_region_unless_they_are_set() {
        let settings = Settings::new(&[("AWS_DEFAULT_REGION", "eu-west-1"), ("AWS_REGION", "")]);
        assert_eq!(settings.region(), Some("eu-west-1"));
        assert_eq!(settings.token_service("cn-north-1"), "https://sts.cn-north-1.amazonaws.com.cn/");
        let settings = Settings::new(&[("AWS_ENDPOINT_URL", "http://aws:4566/")]);
        assert_eq!(settings.token_service("r"), "http://aws:4566/");
    }
}
