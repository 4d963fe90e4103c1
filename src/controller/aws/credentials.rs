//! Credentials for AWS: where this process has them from, and how long they hold.
//!
//! The order is that of AWS's own clients: the profile that is asked for, keys in the environment, the token of a
//! ServiceAccount (web identity), the agent of EKS Pod Identity or ECS, the instance that the pod runs on. A role is taken
//! on with what was found. Credentials that end are kept until shortly before that.

use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use serde::Deserialize;
use tidegate_engine::metric::http::{Call, Method, Signing};
use tidegate_engine::metric::{Response, throttled_seconds};

use super::settings::{Settings, profile};
use super::{Credentials, ToSign, sign};
use crate::fetch::{Fetcher, Unsigned};
use crate::kept::Kept;

/// Credentials are renewed this long before they end.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);
/// How long credentials without an end are kept: a file may have changed.
const KEPT: SignedDuration = SignedDuration::from_mins(10);
const TIMEOUT_SECONDS: u64 = 10;
const SESSION: &str = "tidegate";
const VERSION: &str = "2011-06-15";
/// The metadata of an instance of EC2.
const INSTANCE: &str = "http://169.254.169.254";
/// Where the agent of ECS answers.
const CONTAINER: &str = "http://169.254.170.2";

/// Credentials, and when they end.
struct Session {
    credentials: Credentials,
    end: Option<Timestamp>,
}

/// What sessions are kept by: profile, role and region.
type Identity = (String, String, String);

/// Finds credentials and keeps them.
#[derive(Default)]
pub(crate) struct Aws {
    settings: Settings,
    kept: Kept<Identity, Credentials, Unsigned>,
}

impl std::fmt::Debug for Aws {
    /// Leaves out everything.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Aws").finish_non_exhaustive()
    }
}

impl Aws {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, kept: Kept::default() }
    }

    #[cfg(test)]
    pub(crate) fn with(pairs: &[(&str, &str)]) -> Self {
        Self::new(Settings::new(pairs))
    }

    /// With the settings of this process.
    pub(crate) fn of_process() -> Self {
        Self::new(Settings::of_process())
    }

    /// The headers that sign a call.
    ///
    /// # Errors
    /// Says which credentials are missing, or why they were not given; and that whoever gives them asks to be left alone.
    pub(crate) async fn headers(
        &self,
        fetcher: &Fetcher,
        call: &Call,
        signing: &Signing,
    ) -> Result<Vec<(String, String)>, Unsigned> {
        let region = Some(signing.region.as_str()).filter(|region| !region.is_empty());
        let region = region.or_else(|| self.settings.region());
        let region = region.ok_or_else(|| {
            failed("the request is to be signed, and neither it nor AWS_REGION names a region")
        })?;
        if !is_region(region) {
            return Err(failed("the request is to be signed, and its region is not the name of a region"));
        }
        let credentials = self.credentials(fetcher, signing, region).await?;
        Ok(signed(call, &credentials, region, signing.service)?)
    }

    async fn credentials(
        &self,
        fetcher: &Fetcher,
        signing: &Signing,
        region: &str,
    ) -> Result<Credentials, Unsigned> {
        let identity = (signing.profile.clone(), signing.role.clone(), region.to_owned());
        self.kept.get(identity, self.fetched(fetcher, signing, region)).await
    }

    /// Credentials, and how long they are kept.
    async fn fetched(
        &self,
        fetcher: &Fetcher,
        signing: &Signing,
        region: &str,
    ) -> Result<(Credentials, Timestamp), Unsigned> {
        let now = Timestamp::now();
        let found = self.found(fetcher, &signing.profile, region).await?;
        let session = match signing.role.as_str() {
            "" => found,
            role => self.assumed(fetcher, &found.credentials, role, region).await?,
        };
        let until = session.end.and_then(|end| end.checked_sub(MARGIN).ok());
        let until = until.or_else(|| now.checked_add(KEPT).ok()).unwrap_or(now);
        Ok((session.credentials, until))
    }

    /// The credentials of a profile, or of the first place that has any.
    async fn found(&self, fetcher: &Fetcher, name: &str, region: &str) -> Result<Session, Unsigned> {
        let lasting = |credentials| Session { credentials, end: None };
        if !name.is_empty() {
            let found = self.of_file(name).await.map(lasting);
            let none = || format!("no credentials for AWS: there is no profile {name:?} with keys");
            return found.ok_or_else(|| none().into());
        }
        if let Some(keys) = self.settings.keys() {
            return Ok(lasting(keys));
        }
        if let (Some(file), Some(role)) =
            (self.settings.text("AWS_WEB_IDENTITY_TOKEN_FILE"), self.settings.text("AWS_ROLE_ARN"))
        {
            let token = tokio::fs::read_to_string(file).await;
            let token = token.map_err(|error| format!("no credentials for AWS: {file}: {error}"))?;
            return self.of_web_identity(fetcher, token.trim(), role, region).await;
        }
        if let Some(session) = self.of_container(fetcher).await? {
            return Ok(session);
        }
        let default = self.settings.text("AWS_PROFILE").unwrap_or("default");
        if let Some(keys) = self.of_file(default).await {
            return Ok(lasting(keys));
        }
        self.of_instance(fetcher).await
    }

    async fn of_file(&self, name: &str) -> Option<Credentials> {
        let file = tokio::fs::read_to_string(self.settings.file()?).await.ok()?;
        profile(&file, name)
    }

    async fn of_web_identity(
        &self,
        fetcher: &Fetcher,
        token: &str,
        role: &str,
        region: &str,
    ) -> Result<Session, Unsigned> {
        let session = self.settings.text("AWS_ROLE_SESSION_NAME").unwrap_or(SESSION);
        let form = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("RoleArn", role),
            ("RoleSessionName", session),
            ("Version", VERSION),
            ("WebIdentityToken", token),
        ];
        let (_, address) = self.token_service(region)?;
        let call = posted(&address, &form)?;
        granted(&fetcher.send(&call, &[]).await?)
    }

    /// Takes on a role.
    async fn assumed(
        &self,
        fetcher: &Fetcher,
        credentials: &Credentials,
        role: &str,
        region: &str,
    ) -> Result<Session, Unsigned> {
        let form =
            [("Action", "AssumeRole"), ("RoleArn", role), ("RoleSessionName", SESSION), ("Version", VERSION)];
        let (region, address) = self.token_service(region)?;
        let call = posted(&address, &form)?;
        let headers = signed(&call, credentials, region, "sts")?;
        granted(&fetcher.send(&call, &headers).await?)
    }

    /// The region and the address of the service that gives credentials. Whoever writes a metric names a region only
    /// where the controller has none: tokens of its own go to this address.
    fn token_service<'a>(&'a self, asked: &'a str) -> Result<(&'a str, String), String> {
        let region = self.settings.region().unwrap_or(asked);
        if !is_region(region) {
            return Err("no credentials for AWS: the region is not the name of a region".to_owned());
        }
        Ok((region, self.settings.token_service(region)))
    }

    /// The agent that EKS Pod Identity and ECS have beside a pod.
    async fn of_container(&self, fetcher: &Fetcher) -> Result<Option<Session>, Unsigned> {
        let full = self.settings.text("AWS_CONTAINER_CREDENTIALS_FULL_URI").map(str::to_owned);
        let relative = self.settings.text("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        let relative = relative.map(|path| format!("{CONTAINER}{path}"));
        let Some(url) = full.or(relative) else { return Ok(None) };
        let token = match self.settings.text("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            Some(file) => Some(
                tokio::fs::read_to_string(file)
                    .await
                    .map_err(|error| format!("no credentials for AWS: {file}: {error}"))?,
            ),
            None => self.settings.text("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(str::to_owned),
        };
        let header = token.map(|token| ("Authorization".to_owned(), token.trim().to_owned()));
        let call = call(Method::Get, url, header.into_iter().collect());
        let is_near = call.url.starts_with("http://");
        let answer =
            if is_near { fetcher.send_directly(&call).await } else { fetcher.send(&call, &[]).await };
        told(&answer?).map(Some)
    }

    /// The role of the instance that the pod runs on; a token is wanted first.
    async fn of_instance(&self, fetcher: &Fetcher) -> Result<Session, Unsigned> {
        let none = "no credentials for AWS: there are no keys, no web identity, no agent, no profile and no instance";
        if self.settings.text("AWS_EC2_METADATA_DISABLED") == Some("true") {
            return Err(failed(none));
        }
        let address = self.settings.text("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or(INSTANCE);
        let address = address.trim_end_matches('/');
        let lifetime = ("X-aws-ec2-metadata-token-ttl-seconds".to_owned(), "300".to_owned());
        let token = call(Method::Put, format!("{address}/latest/api/token"), vec![lifetime]);
        let token = fetcher.send_directly(&Call { timeout_seconds: 2, ..token }).await;
        let token = token.map_err(|_| failed(none))?;
        let header =
            ("X-aws-ec2-metadata-token".to_owned(), String::from_utf8_lossy(&token.body).into_owned());
        let path = format!("{address}/latest/meta-data/iam/security-credentials/");
        let role = fetcher.send_directly(&call(Method::Get, path.clone(), vec![header.clone()])).await?;
        let name = String::from_utf8_lossy(&role.body);
        let name = name.lines().next().unwrap_or_default().trim();
        if role.status != 200 || name.is_empty() {
            return Err(withheld(&role, None, "no credentials for AWS: the instance has no role".to_owned()));
        }
        told(&fetcher.send_directly(&call(Method::Get, format!("{path}{name}"), vec![header])).await?)
    }
}

/// Whether a text may stand in the name of one of AWS's hosts: nothing in it ends the label that it is.
fn is_region(text: &str) -> bool {
    let is_right = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
    (1..=40).contains(&text.len()) && text.bytes().all(is_right)
}

fn call(method: Method, url: String, headers: Vec<(String, String)>) -> Call {
    Call { headers, ..Call::to(method, url, TIMEOUT_SECONDS) }
}

/// A call to the service that gives credentials.
fn posted(address: &str, form: &[(&str, &str)]) -> Result<Call, String> {
    let encoded = Url::parse_with_params("http://form/", form).map_err(|error| error.to_string())?;
    let form = ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned());
    let body = Some(encoded.query().unwrap_or_default().to_owned());
    Ok(Call { body, ..call(Method::Post, address.to_owned(), vec![form]) })
}

fn signed(
    call: &Call,
    credentials: &Credentials,
    region: &str,
    service: &str,
) -> Result<Vec<(String, String)>, String> {
    let url =
        Url::parse(&call.url).map_err(|error| format!("the address to be signed is no URL: {error}"))?;
    let method = match call.method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
    };
    let body = call.body.as_deref().unwrap_or_default();
    let to_sign = ToSign { method, url: &url, headers: &call.headers, body, region, service };
    Ok(sign(&to_sign, credentials, Timestamp::now()))
}

/// Why nothing is signed.
fn failed(why: &str) -> Unsigned {
    why.to_owned().into()
}

/// What comes of an answer without credentials; `why` says it to people, `code` is that of its error.
fn withheld(response: &Response, code: Option<&str>, why: String) -> Unsigned {
    match response.asks_to_wait_seconds().or_else(|| throttled_seconds(code?)) {
        // This stands for the answer to what was to be signed.
        retry_after_seconds @ Some(_) => {
            Unsigned::Busy(Response { status: 429, body: why.into_bytes(), retry_after_seconds })
        }
        None => Unsigned::Failed(why),
    }
}

/// Reads what the service that gives credentials answers, which is XML whose values have no markup in them.
fn granted(response: &Response) -> Result<Session, Unsigned> {
    let text = String::from_utf8_lossy(&response.body);
    let of = |name: &str| {
        let start = text.find(&format!("<{name}>"))? + name.len() + 2;
        let end = text[start..].find(&format!("</{name}>"))?;
        Some(text[start..start + end].trim().to_owned()).filter(|value| !value.is_empty())
    };
    let credentials = || {
        Some(Credentials {
            access_key: of("AccessKeyId")?,
            secret_key: of("SecretAccessKey")?,
            session_token: Some(of("SessionToken")?),
        })
    };
    match credentials() {
        Some(credentials) if response.status == 200 => {
            Ok(Session { credentials, end: of("Expiration").and_then(|end| end.parse().ok()) })
        }
        Some(_) | None => {
            let code = of("Code");
            let why = code.clone().unwrap_or_else(|| format!("answer {}", response.status));
            let why = format!("no credentials for AWS: the role was not given: {why}");
            Err(withheld(response, code.as_deref(), why))
        }
    }
}

/// What agents and instances answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: Timestamp,
}

fn told(response: &Response) -> Result<Session, Unsigned> {
    let told: Result<Told, _> = serde_json::from_slice(&response.body);
    match told {
        Ok(Told { access_key_id, secret_access_key, token, expiration }) if response.status == 200 => {
            Ok(Session {
                credentials: Credentials {
                    access_key: access_key_id,
                    secret_key: secret_access_key,
                    session_token: Some(token),
                },
                end: Some(expiration),
            })
        }
        Ok(_) | Err(_) => {
            let why = format!("no credentials for AWS: answer {} holds none", response.status);
            Err(withheld(response, None, why))
        }
    }
}

#[cfg(test)]
mod tests;
