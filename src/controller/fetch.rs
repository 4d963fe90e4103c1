//! Makes the requests to metric servers that the engine describes.
//!
//! Input: a request. Output: the raw answer, or in one line why there is none. Bodies and times are bounded. It must
//! never know what the answer is for.

#[cfg(test)]
mod certificates_tests;
#[cfg(test)]
mod direct_tests;
mod login;
mod redirect;
#[cfg(test)]
mod redirect_tests;
mod retry;
mod shared;

use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_http_query::Client as Prometheus;
use reqwest::header::HeaderMap;
use reqwest::{Client, ClientBuilder};
use tidegate_engine::metric::http::{self, Call, Method};
use tidegate_engine::metric::prometheus::Query;
use tidegate_engine::metric::{Response, Sent};

pub(crate) use self::login::{Unsigned, refused};
use self::shared::Shared;
use crate::aws::Aws;
use crate::google::Google;

/// A query longer than this goes in a body: proxies cut off long addresses.
const LONGEST_IN_ADDRESS: usize = 2000;
/// The longest that any request may take, whatever its metric says, and wait for its turn: a slow server must not fill
/// every place.
const LONGEST: Duration = Duration::from_secs(300);

/// What requests say they are from, unless a metric says otherwise.
const USER_AGENT: &str = concat!("tidegate/", env!("CARGO_PKG_VERSION"));

/// A client, or why there is none.
type Cell = OnceLock<Result<Client, String>>;

/// One client per way of looking at certificates, built when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Fetcher {
    verified: Cell,
    insecure: Cell,
    /// For addresses without TLS: it needs no certificates, and an image may have none.
    plain: Cell,
    /// For what answers on the pod's own node, which no proxy reaches.
    direct: Cell,
    aws: Aws,
    google: Google,
    shared: Shared,
}

impl Fetcher {
    /// With the accounts that this process has.
    pub(crate) fn of_process() -> Self {
        Self { aws: Aws::of_process(), google: Google::of_process(), ..Self::default() }
    }

    /// Asks a Prometheus, unless somebody asks the same in the same moment. What the request is signed in with is added to
    /// `sent`, whatever comes of it.
    ///
    /// # Errors
    /// Fails with the reason when there is no answer: the server cannot be reached, is too slow or says too much.
    pub(crate) async fn prometheus(&self, query: &Query, sent: &mut Sent) -> Result<Response, String> {
        let ask = async {
            let mut sent = Sent::default();
            let answer = within(query.timeout_seconds, &told(query), self.query(query, &mut sent)).await;
            (answer, sent)
        };
        let Some((answer, signed_in_with)) = self.shared.answer(query, LONGEST, ask).await else {
            return Err(format!(
                "{} was not asked within {LONGEST:?}: other requests are before it",
                told(query)
            ));
        };
        sent.extend(signed_in_with);
        answer
    }

    /// Makes a call to any server.
    ///
    /// # Errors
    /// Fails as [`Fetcher::prometheus`] does. The reason names the server and nothing else of the call.
    pub(crate) async fn http(&self, call: &Call, sent: &mut Sent) -> Result<Response, String> {
        within(call.timeout_seconds, call.server(), self.call(call, sent)).await
    }

    async fn call(&self, call: &Call, sent: &mut Sent) -> Result<Response, String> {
        match self.signed_in(call, sent).await {
            Ok((headers, signature)) => self.dispatch(call, headers, &signature).await,
            Err(unsigned) => unsigned.answer(),
        }
    }

    /// Sends a call without signing it in, with more headers than it has.
    ///
    /// # Errors
    /// Fails as [`Fetcher::http`] does.
    pub(crate) async fn send(&self, call: &Call, more: &[(String, String)]) -> Result<Response, String> {
        let headers = login::headers(&call.headers)?;
        within(call.timeout_seconds, call.server(), self.dispatch(call, headers, more)).await
    }

    /// Sends a call to what gives this pod its credentials, through no proxy: they are nobody else's.
    ///
    /// # Errors
    /// Fails as [`Fetcher::http`] does.
    pub(crate) async fn send_directly(&self, call: &Call) -> Result<Response, String> {
        let headers = login::headers(&call.headers)?;
        within(call.timeout_seconds, call.server(), dispatch(self.direct()?, call, headers)).await
    }

    async fn dispatch(
        &self,
        call: &Call,
        mut headers: HeaderMap,
        more: &[(String, String)],
    ) -> Result<Response, String> {
        headers.extend(login::headers(more)?);
        // A server without TLS may send on to one with it, which is worth something only where there are certificates.
        let client = match self.client("", call.insecure) {
            Ok(client) => client,
            Err(_) => self.client(&call.url, call.insecure)?,
        };
        dispatch(client, call, headers).await
    }

    async fn query(&self, query: &Query, sent: &mut Sent) -> Result<Response, String> {
        let client = self.client(&query.address, query.insecure)?;
        let headers = match self.headers(&query.headers, &query.login, query.insecure, sent).await {
            Ok(headers) => headers,
            Err(unsigned) => return unsigned.answer(),
        };
        let prometheus = Prometheus::from(client.clone(), &query.address)
            .map_err(|error| format!("{} has no address that is a URL: {}", told(query), root(&error)))?;
        let long = query.query.len() > LONGEST_IN_ADDRESS;
        let answer = match &query.range {
            None => {
                let builder = prometheus.query(&query.query);
                let builder = headers
                    .iter()
                    .fold(builder, |builder, (name, value)| builder.header(name, value.clone()));
                if long { builder.post_raw().await } else { builder.get_raw().await }
            }
            Some(range) => {
                let (start, end) = (range.start.as_second(), range.end.as_second());
                let builder = prometheus.query_range(&query.query, start, end, range.step_seconds);
                let builder = headers
                    .iter()
                    .fold(builder, |builder, (name, value)| builder.header(name, value.clone()));
                if long { builder.post_raw().await } else { builder.get_raw().await }
            }
        };
        read(&told(query), answer, Query::MOST_BYTES).await
    }

    fn direct(&self) -> Result<&Client, String> {
        built(&self.direct, || builder().tls_certs_only([]).no_proxy())
    }

    fn client(&self, address: &str, insecure: bool) -> Result<&Client, String> {
        if address.starts_with("http://") {
            built(&self.plain, || builder().tls_certs_only([]))
        } else if insecure {
            built(&self.insecure, || builder().tls_danger_accept_invalid_certs(true))
        } else {
            built(&self.verified, builder)
        }
    }
}

/// An answer that comes in time; `whose` it is stands in the error where none does.
async fn within(
    seconds: u64,
    whose: &str,
    answer: impl Future<Output = Result<Response, String>>,
) -> Result<Response, String> {
    let within = Duration::from_secs(seconds).min(LONGEST);
    let answer = tokio::time::timeout(within, answer).await;
    answer.map_err(|_| format!("{whose} gave no answer within {within:?}"))?
}

/// What all clients have in common.
fn builder() -> ClientBuilder {
    Client::builder().user_agent(USER_AGENT).connect_timeout(LONGEST).redirect(redirect::policy())
}

/// The client in a cell, which is built when it is first needed.
fn built(cell: &Cell, builder: impl Fn() -> ClientBuilder) -> Result<&Client, String> {
    let built =
        cell.get_or_init(|| builder().build().map_err(|error| format!("cannot use TLS: {}", root(&error))));
    built.as_ref().map_err(Clone::clone)
}

/// Sends a call as it is, with these headers.
async fn dispatch(client: &Client, call: &Call, headers: HeaderMap) -> Result<Response, String> {
    let method = match call.method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
    };
    let mut request = client.request(method, &call.url).headers(headers);
    if let Some(body) = &call.body {
        request = request.body(body.clone());
    }
    read(call.server(), request.send().await, call.most_bytes).await
}

/// What may be told of a query: a user or a path in the address may hold secrets.
fn told(query: &Query) -> String {
    format!("prometheus at {}", http::server(&query.address))
}

/// Reads what a server answered, or says why there is nothing to read.
async fn read<E: Error + 'static>(
    server: &str,
    answer: Result<reqwest::Response, E>,
    most: usize,
) -> Result<Response, String> {
    let unreachable = |error: &(dyn Error + 'static)| format!("{server} cannot be reached: {}", root(error));
    bounded(answer.map_err(|error| unreachable(&error))?, most).await.map_err(|error| match error {
        Body::Broken(error) => unreachable(&error),
        Body::TooLong => format!("{server} answered more than {most} bytes: ask for less"),
    })
}

/// Why a body was not read to its end.
enum Body {
    Broken(reqwest::Error),
    TooLong,
}

/// How long a server asks to be left alone, by the headers of its answer.
pub(crate) fn retry_after_seconds(headers: &HeaderMap) -> Option<u64> {
    retry::after(headers, Timestamp::now())
}

/// Reads a body, and no more of it than may be.
async fn bounded(mut answer: reqwest::Response, most: usize) -> Result<Response, Body> {
    let status = answer.status().as_u16();
    let retry_after_seconds = retry_after_seconds(answer.headers());
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(Body::Broken)? {
        if body.len() + chunk.len() > most {
            return Err(Body::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Response { status, body, retry_after_seconds })
}

/// The innermost cause, such as `Connection refused (os error 111)`. The outer texts repeat the address with the
/// query in it, which may hold a secret in an encoding that nobody would find and hide.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut at = error;
    while let Some(cause) = at.source() {
        at = cause;
    }
    match at.downcast_ref::<reqwest::Error>() {
        Some(error) if error.is_timeout() => "timed out".to_owned(),
        Some(error) if error.is_redirect() => "too many redirects".to_owned(),
        Some(_) => "the request failed".to_owned(),
        None => at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::Router;
    use axum::body::Bytes;
    use axum::http::{HeaderMap, Method as Verb, StatusCode, Uri};
    use axum::routing::any;
    use tidegate_engine::metric::Request;
    use tidegate_engine::metric::http::{Login, Signing};
    use tidegate_engine::metric::prometheus::Range;
    use tokio::net::TcpListener;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    /// A server that tells what it was asked, and answers `answer`.
    async fn server(answer: Vec<u8>) -> (SocketAddr, UnboundedReceiver<String>) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (sender, receiver) = unbounded_channel();
        let handle = move |method: Verb, uri: Uri, headers: HeaderMap, body: Bytes| async move {
            let text = |name: &str| {
                headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned()
            };
            let body = String::from_utf8_lossy(&body).chars().take(40).collect::<String>();
            let _ = sender.send(format!(
                "{method} {uri} {} {} {body}",
                text("authorization"),
                text("x-scope-orgid")
            ));
            (
                StatusCode::OK,
                if uri.path() == "/token" { br#"{"access_token":"t0"}"#.to_vec() } else { answer },
            )
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(handle))).await });
        (address, receiver)
    }

    pub(super) fn query(address: SocketAddr, text: &str) -> Query {
        Query {
            address: format!("http://{address}/prefix"),
            query: text.to_owned(),
            range: None,
            headers: Vec::new(),
            timeout_seconds: 30,
            insecure: false,
            login: Login::None,
        }
    }

    async fn fetch(query: Query) -> Result<Response, String> {
        Fetcher::default().prometheus(&query, &mut Sent::default()).await
    }

    #[tokio::test]
    async fn queries_reach_the_server_as_described() {
        let (address, mut asked) = server(b"{}".to_vec()).await;
        let answer = fetch(query(address, "up > 1")).await;
        assert_eq!(answer, Ok(Response { status: 200, body: b"{}".to_vec(), retry_after_seconds: None }));
        assert_eq!(asked.recv().await.unwrap(), "GET /prefix/api/v1/query?query=up+%3E+1 - - ");

        let range = Range {
            start: "2026-11-21T07:00:00Z".parse().unwrap(),
            end: "2026-11-21T08:00:00Z".parse().unwrap(),
            step_seconds: 0.5,
        };
        let login = Login::Basic { username: "u".into(), password: "p".into() };
        let headers = vec![("X-Scope-OrgID".to_owned(), "tenant".to_owned())];
        fetch(Query { range: Some(range), login, headers, ..query(address, "up") }).await.unwrap();
        assert_eq!(
            asked.recv().await.unwrap(),
            "GET /prefix/api/v1/query_range?query=up&start=1795244400&end=1795248000&step=0.5 Basic dTpw tenant "
        );

        fetch(query(address, &"x".repeat(3000))).await.unwrap();
        assert_eq!(
            asked.recv().await.unwrap(),
            format!("POST /prefix/api/v1/query - - query={}", "x".repeat(34))
        );
    }

    fn call(address: SocketAddr) -> Call {
        Call::to(Method::Get, format!("http://{address}/ratio?token=hush"), 30)
    }

    #[tokio::test]
    async fn calls_reach_the_server_as_described() {
        let (address, mut asked) = server(b"0.97".to_vec()).await;
        let fetcher = Fetcher::default();
        let answer = fetcher.http(&call(address), &mut Sent::default()).await;
        assert_eq!(answer, Ok(Response { status: 200, body: b"0.97".to_vec(), retry_after_seconds: None }));
        assert_eq!(asked.recv().await.unwrap(), "GET /ratio?token=hush - - ");
        let login = Login::OAuth2 {
            token_url: format!("http://{address}/token"),
            client_id: "id".into(),
            client_secret: "hush".into(),
            scopes: Vec::new(),
        };
        let headers = vec![("X-Scope-OrgID".to_owned(), "tenant".to_owned())];
        let body = Some(r#"{"a":1}"#.to_owned());
        for method in [Method::Post, Method::Put] {
            let login = login.clone();
            let (headers, body) = (headers.clone(), body.clone());
            fetcher
                .http(&Call { method, login, headers, body, ..call(address) }, &mut Sent::default())
                .await
                .unwrap();
            let token = "POST /token Basic aWQ6aHVzaA== - grant_type=client_credentials";
            assert_eq!(asked.recv().await.unwrap(), token);
            let verb = if method == Method::Post { "POST" } else { "PUT" };
            let wanted = format!("{verb} /ratio?token=hush Bearer t0 tenant {{\"a\":1}}");
            assert_eq!(asked.recv().await.unwrap(), wanted);
        }
    }

    #[tokio::test]
    async fn calls_that_fail_tell_the_server_and_nothing_else() {
        let (address, _asked) = server(vec![b' '; Call::MOST_BYTES + 1]).await;
        let error = Fetcher::default().http(&call(address), &mut Sent::default()).await.unwrap_err();
        assert_eq!(error, format!("http://{address} answered more than 1048576 bytes: ask for less"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = Fetcher::default().http(&call(address), &mut Sent::default()).await.unwrap_err();
        assert!(
            error.starts_with(&format!("http://{address} cannot be reached: Connection refused")),
            "{error}"
        );
        assert!(!format!("{error} {:?}", call(address)).contains("hush"));
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_take_too_long_are_given_up() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let error = Fetcher::default()
            .http(&Call { timeout_seconds: 10, ..call(address) }, &mut Sent::default())
            .await
            .unwrap_err();
        assert_eq!(error, format!("http://{address} gave no answer within 10s"));
    }

    #[tokio::test]
    async fn requests_to_aws_are_signed_as_they_are_sent() {
        let (address, mut asked) = server(b"{}".to_vec()).await;
        let settings = [
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "hush"),
            ("AWS_SESSION_TOKEN", "session"),
        ];
        let fetcher = Fetcher { aws: Aws::with(&settings), ..Fetcher::default() };
        let login = Login::Aws(Signing { region: "r".into(), service: "aps", ..Signing::default() });
        let form = ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned());
        let body = Some("query=up".to_owned());
        let signed = Call { method: Method::Post, login, headers: vec![form], body, ..call(address) };
        let mut sent = Sent::default();
        fetcher.http(&signed, &mut sent).await.unwrap();
        let seen = asked.recv().await.unwrap();
        let mut known = Sent::default();
        known.add("session");
        known.add(seen.split_once("hush ").unwrap().1.strip_suffix(" - query=up").unwrap());
        assert_eq!(sent, known, "nobody tells the token of the session, nor the signature");
        let wanted = "POST /ratio?token=hush AWS4-HMAC-SHA256 Credential=key/";
        assert!(seen.starts_with(wanted) && seen.ends_with("- query=up"), "{seen}");
        assert!(
            seen.contains("/r/aps/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature="),
            "{seen}"
        );
    }

    #[tokio::test]
    async fn tokens_are_fetched_first() {
        let (address, mut asked) = server(b"{}".to_vec()).await;
        let login = Login::OAuth2 {
            token_url: format!("http://{address}/token"),
            client_id: "id".into(),
            client_secret: "hush".into(),
            scopes: vec!["a".into(), "b".into()],
        };
        fetch(Query { login, ..query(address, "up") }).await.unwrap();
        let form = "grant_type=client_credentials&scope=a+b";
        assert_eq!(asked.recv().await.unwrap(), format!("POST /token Basic aWQ6aHVzaA== - {form}"));
        assert_eq!(asked.recv().await.unwrap(), "GET /prefix/api/v1/query?query=up Bearer t0 - ");
    }

    #[tokio::test]
    async fn bodies_are_bounded() {
        let (address, _asked) = server(vec![b' '; Query::MOST_BYTES + 1]).await;
        let error = fetch(query(address, "up")).await.unwrap_err();
        assert!(error.contains("more than 8388608 bytes"), "{error}");
    }

    #[tokio::test]
    async fn amazons_prometheus_may_say_as_much_as_any_other() {
        let url = "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws";
        let (address, _asked) = server(vec![b' '; Query::MOST_BYTES]).await;
        let login = Login::Aws(Signing { service: "aps", ..Signing::default() });
        let signed = Query { address: url.into(), login, ..query(address, "up") }.into_request();
        let Request::Http(signed) = signed else { panic!("{signed:?}") };
        let (fetcher, here) = (Fetcher::default(), format!("http://{address}"));
        let whole = Call { url: here, ..signed };
        let answer = fetcher.send(&whole, &[]).await.unwrap();
        assert_eq!(answer.body.len(), Query::MOST_BYTES);
        let less = Call { most_bytes: Query::MOST_BYTES - 1, ..whole };
        assert!(fetcher.send(&less, &[]).await.unwrap_err().contains("more than 8388607 bytes"));
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_named_without_the_query() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = fetch(query(address, "hush")).await.unwrap_err();
        let wanted = format!("prometheus at http://{address} cannot be reached: Connection refused");
        assert!(error.starts_with(&wanted) && !error.contains("hush"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_answers_is_given_up() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let error = fetch(Query { timeout_seconds: 5, ..query(address, "up") }).await.unwrap_err();
        assert_eq!(error, format!("prometheus at http://{address} gave no answer within 5s"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_password_in_the_address_is_told_nowhere() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for place in [address.to_string(), "127.0.0.1:1".into(), "127.0.0.1:port".into()] {
            let secret = Query { address: format!("http://user:hush@{place}/hush"), ..query(address, "up") };
            let told = format!("{secret:?}");
            let error = fetch(secret).await.unwrap_err();
            assert!(error.starts_with("prometheus at a server with a user in its address "), "{error}");
            assert!(!error.contains("hush") && !told.contains("hush"), "{error} {told}");
        }
    }

    #[tokio::test]
    async fn headers_that_cannot_be_sent_are_named() {
        let (address, _asked) = server(Vec::new()).await;
        let headers = vec![("Bad Name".to_owned(), "x".to_owned())];
        let error = fetch(Query { headers, ..query(address, "up") }).await.unwrap_err();
        assert_eq!(error, "header \"Bad Name\" is not a valid HTTP header");
    }
}
