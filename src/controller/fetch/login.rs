//! The headers of a request: those that it has, and the one that signs it in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use tidegate_engine::metric::http::{self, Call, Login};
use tidegate_engine::metric::{Response, Sent};

use super::{Body, Fetcher, bounded, root};
use crate::kept::Why;

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

/// Why a request is not signed in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Unsigned {
    /// What gives tokens asks to be left alone, which holds for the request as well: this stands for its answer.
    Busy(Response),
    Failed(String),
}

impl From<String> for Unsigned {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

impl Why for Unsigned {
    fn asked_seconds(&self) -> Option<u64> {
        match self {
            Self::Busy(answer) => answer.asks_to_wait_seconds(),
            Self::Failed(_) => None,
        }
    }

    fn with_seconds_left(self, left: u64) -> Self {
        match self {
            Self::Busy(answer) => Self::Busy(Response { retry_after_seconds: Some(left), ..answer }),
            failed @ Self::Failed(_) => failed,
        }
    }
}

impl Unsigned {
    /// What comes of the request.
    pub(super) fn answer(self) -> Result<Response, String> {
        match self {
            Self::Busy(answer) => Ok(answer),
            Self::Failed(why) => Err(why),
        }
    }
}

/// Who wants a token, and for what.
struct Client<'a> {
    id: &'a str,
    secret: &'a str,
    scope: String,
}

impl Fetcher {
    /// The headers of a call, and those that sign it.
    pub(super) async fn signed_in(
        &self,
        call: &Call,
        sent: &mut Sent,
    ) -> Result<(HeaderMap, Vec<(String, String)>), Unsigned> {
        let signature = self.signature(call, sent).await?;
        Ok((self.headers(&call.headers, &call.login, call.insecure, sent).await?, signature))
    }

    /// The headers that sign a call to AWS; of another call there are none.
    async fn signature(&self, call: &Call, sent: &mut Sent) -> Result<Vec<(String, String)>, Unsigned> {
        let headers = match &call.login {
            Login::Aws(signing) => self.aws.headers(self, call, signing).await?,
            Login::None | Login::Basic { .. } | Login::OAuth2 { .. } | Login::Google { .. } => Vec::new(),
        };
        let signs = |name: &str| name == "authorization" || name == "x-amz-security-token";
        headers.iter().filter(|(name, _)| signs(name)).for_each(|(_, value)| sent.add(value));
        Ok(headers)
    }

    /// The headers of a request, that of its login among them. One that the metric has itself goes before a password.
    pub(super) async fn headers(
        &self,
        pairs: &[(String, String)],
        login: &Login,
        insecure: bool,
        sent: &mut Sent,
    ) -> Result<HeaderMap, Unsigned> {
        let mut headers = headers(pairs)?;
        if matches!(login, Login::Basic { .. }) && headers.contains_key(AUTHORIZATION) {
            return Ok(headers);
        }
        if let Some(login) = self.login(login, insecure, sent).await? {
            headers.insert(AUTHORIZATION, login);
        }
        Ok(headers)
    }

    /// The Authorization header, if a request needs one that is no signature.
    async fn login(
        &self,
        login: &Login,
        insecure: bool,
        sent: &mut Sent,
    ) -> Result<Option<HeaderValue>, Unsigned> {
        let text = match login {
            Login::None | Login::Aws(_) => return Ok(None),
            Login::Basic { username, password } => basic(username, password),
            Login::OAuth2 { token_url, client_id, client_secret, scopes } => {
                let client = Client { id: client_id, secret: client_secret, scope: scopes.join(" ") };
                format!("Bearer {}", self.token(token_url, &client, insecure, sent).await?)
            }
            Login::Google { key, scope } => {
                format!("Bearer {}", self.google.token(self, key.as_deref(), scope).await?)
            }
        };
        sent.add(&text);
        let mut value =
            HeaderValue::try_from(text).map_err(|_| "the credentials do not fit in a header".to_owned())?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// Gets a token by client credentials.
    async fn token(
        &self,
        url: &str,
        client: &Client<'_>,
        insecure: bool,
        sent: &mut Sent,
    ) -> Result<String, Unsigned> {
        let server = http::server(url);
        let answer = self.ask_for_token(url, client, insecure, sent).await;
        let answer = answer.map_err(|why| format!("no token from {server}: {why}"))?;
        let token: Result<Token, _> = serde_json::from_slice(&answer.body);
        match token {
            Ok(token) if (200..300).contains(&answer.status) => Ok(token.access_token),
            Ok(_) | Err(_) => Err(refused(server, &answer)),
        }
    }

    /// Asks for a token: with credentials in a header as all servers should take them, then in the form as some do.
    async fn ask_for_token(
        &self,
        url: &str,
        client: &Client<'_>,
        insecure: bool,
        sent: &mut Sent,
    ) -> Result<Response, String> {
        let server = self.client(url, insecure)?;
        let mut form = vec![("grant_type", "client_credentials")];
        if !client.scope.is_empty() {
            form.push(("scope", client.scope.as_str()));
        }
        // RFC 6749, 2.3.1: both are encoded before they are joined.
        let login = basic(&http::in_form(client.id), &http::in_form(client.secret));
        sent.add(&login);
        let answer = asked(server.post(url).header(AUTHORIZATION, login).form(&form)).await?;
        if !(400..500).contains(&answer.status) || answer.status == 429 {
            return Ok(answer);
        }
        form.extend([("client_id", client.id), ("client_secret", client.secret)]);
        asked(server.post(url).form(&form)).await
    }
}

/// What an answer without a token means. A busy server's is passed on without its words, which are for nobody else.
pub(crate) fn refused(server: &str, answer: &Response) -> Unsigned {
    let Response { status, retry_after_seconds, .. } = *answer;
    let why = format!("no token from {server}: answer {status} holds no access_token");
    if answer.asks_to_wait_seconds().is_some() {
        Unsigned::Busy(Response { status, body: why.into_bytes(), retry_after_seconds })
    } else {
        Unsigned::Failed(why)
    }
}

async fn asked(request: RequestBuilder) -> Result<Response, String> {
    let answer = request.send().await.map_err(|error| root(&error))?;
    bounded(answer, Call::MOST_BYTES).await.map_err(|error| match error {
        Body::Broken(error) => root(&error),
        Body::TooLong => "the answer is too long".to_owned(),
    })
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

pub(super) fn headers(pairs: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let parsed = (HeaderName::try_from(name), HeaderValue::try_from(value));
        let (Ok(parsed_name), Ok(mut parsed_value)) = parsed else {
            return Err(format!("header {name:?} is not a valid HTTP header"));
        };
        parsed_value.set_sensitive(true);
        headers.append(parsed_name, parsed_value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests;
