//! An API server for tests: a fixed set of answers, and a record of what was asked.

use std::convert::Infallible;
use std::io::Write;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use crate::session::Session;
use crate::terminal::Terminal;
use crate::{Exit, Grammar, cli, verb};

/// How a command went.
pub(crate) struct Ran {
    pub(crate) exit: anyhow::Result<Exit>,
    pub(crate) out: String,
    pub(crate) err: String,
    /// Method, path and body of each request.
    pub(crate) requests: Vec<(String, String, Value)>,
}

/// Runs a line against answers given as method and path (with its query), status and body.
///
/// A request without an answer is answered as the API server does for an object that is not there.
pub(crate) fn run(grammar: Grammar, line: &str, answers: &[(&str, u16, Value)]) -> Ran {
    let cli = cli::parse(grammar, line.split_whitespace()).unwrap();
    let (out, err) = (Recorder::default(), Recorder::default());
    let requests: Arc<Mutex<Vec<(String, String, Value)>>> = Arc::default();
    let answers: Vec<(String, u16, Value)> =
        answers.iter().map(|(request, code, body)| ((*request).to_owned(), *code, body.clone())).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let seen = requests.clone();
    let exit = runtime.block_on(async {
        let service = tower::service_fn(move |request: Request<Body>| {
            let (seen, answers) = (seen.clone(), answers.clone());
            async move { Ok::<_, Infallible>(answer(request, &seen, &answers).await) }
        });
        let mut terminal = Terminal {
            out: Box::new(out.clone()),
            err: Box::new(err.clone()),
            is_watched: false,
            may_colour: false,
        };
        let mut session = Session {
            client: Client::new(service, "shop"),
            config: None,
            namespace: "shop".to_owned(),
            is_namespace_given: cli.connection.namespace.is_some(),
            grammar,
            terminal: &mut terminal,
            request_timeout: None,
        };
        verb::run_on(&cli.verb, &mut session).await
    });
    let requests = std::mem::take(&mut *requests.lock().unwrap());
    Ran { exit, out: out.text(), err: err.text(), requests }
}

async fn answer(
    request: Request<Body>,
    seen: &Mutex<Vec<(String, String, Value)>>,
    answers: &[(String, u16, Value)],
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let bytes = body.collect_bytes().await.unwrap();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let path = parts.uri.path_and_query().unwrap().as_str().to_owned();
    let path = path.split_once("?&fieldManager").map_or(path.clone(), |(path, _)| path.to_owned());
    seen.lock().unwrap().push((parts.method.to_string(), path.clone(), body));
    let asked = format!("{} {path}", parts.method);
    let name = parts.uri.path().trim_end_matches("/status").rsplit('/').next().unwrap();
    let missing = json!({
        "kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound",
        "message": format!("rollouts.argoproj.io \"{name}\" not found"),
    });
    let (code, body) = answers
        .iter()
        .find(|(request, _, _)| asked == *request || asked.starts_with(&format!("{request}?")))
        .map_or((404, missing), |(_, code, body)| (*code, body.clone()));
    Response::builder().status(code).body(Body::from(serde_json::to_vec(&body).unwrap())).unwrap()
}

/// Text that was written, shared between writer and test.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<u8>>>);

impl Recorder {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
