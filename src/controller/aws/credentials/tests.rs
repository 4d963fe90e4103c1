//! Credentials from servers on loopback that answer as AWS's own do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{HeaderMap, Method as Verb, StatusCode, Uri};
use axum::routing::any;
use tokio::net::TcpListener;

use super::*;

const GRANTED: &str = "<R><Credentials><AccessKeyId>role-key</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey>\
    <SessionToken>role-token</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></R>";
const TOLD: &str =
    r#"{"AccessKeyId":"pod-key","SecretAccessKey":"s","Token":"t","Expiration":"2999-01-01T00:00:00Z"}"#;

/// Plays the token service, an agent, and an instance; counts how often it is asked.
async fn server() -> (String, Arc<AtomicUsize>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let handle = move |verb: Verb, uri: Uri, headers: HeaderMap, body: String| async move {
        counted.fetch_add(1, Ordering::SeqCst);
        let header =
            |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
        match (verb.as_str(), uri.path()) {
            ("POST", "/") if body.contains("Action=AssumeRoleWithWebIdentity&") => {
                let is_right = body.contains("RoleArn=arn%3Ar&") && body.ends_with("&WebIdentityToken=jwt");
                if is_right {
                    (StatusCode::OK, GRANTED)
                } else {
                    (StatusCode::FORBIDDEN, "<Code>AccessDenied</Code>")
                }
            }
            ("POST", "/") if body.contains("Action=AssumeRole&") => {
                if body.contains("RoleArn=arn%3Athrottled&") {
                    return (StatusCode::BAD_REQUEST, "<Error><Code>Throttling</Code></Error>");
                }
                let is_signed =
                    header("authorization").contains("/r/sts/aws4_request, SignedHeaders=content-type;host;");
                if is_signed {
                    (StatusCode::OK, GRANTED)
                } else {
                    (StatusCode::FORBIDDEN, "<Code>SignatureDoesNotMatch</Code>")
                }
            }
            ("GET", "/agent") if header("authorization") == "agent-token" => (StatusCode::OK, TOLD),
            ("PUT", "/latest/api/token") => (StatusCode::OK, "instance-token"),
            ("GET", path) if header("x-aws-ec2-metadata-token") == "instance-token" => {
                if path.ends_with("/") { (StatusCode::OK, "node-role\n") } else { (StatusCode::OK, TOLD) }
            }
            _ => (StatusCode::NOT_FOUND, ""),
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(handle))).await });
    (address, asked)
}

fn signing(role: &str) -> Signing {
    Signing { region: "r".into(), service: "monitoring", profile: String::new(), role: role.into() }
}

/// Settings of a process that has keys in its environment, and the address of a token service.
fn keys(address: &str) -> [(&str, &str); 3] {
    [("AWS_ACCESS_KEY_ID", "own-key"), ("AWS_SECRET_ACCESS_KEY", "hush"), ("AWS_ENDPOINT_URL_STS", address)]
}

fn with_keys(address: &str) -> Aws {
    Aws::new(Settings::new(&keys(address)))
}

/// Settings of a pod that has the token of a ServiceAccount, in a file that is not there.
const WEB_IDENTITY: [(&str, &str); 2] =
    [("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token"), ("AWS_ROLE_ARN", "arn:r")];

#[tokio::test]
async fn what_is_no_region_is_refused_before_anything_is_asked() {
    let (address, asked) = server().await;
    let own = keys(&address);
    let call = call(Method::Get, "http://127.0.0.1:1/".into(), Vec::new());
    let long = "r".repeat(41);
    for region in
        ["evil.example/?", "evil.example", "a/b", "a?b", "a#b", "a@b", "a:1", "a\\b", "R", "a b", &long]
    {
        let signing = Signing { region: region.into(), ..signing("arn:r") };
        let wanted = Err(failed("the request is to be signed, and its region is not the name of a region"));
        for settings in [&own[..], &WEB_IDENTITY] {
            let aws = Aws::new(Settings::new(settings));
            assert_eq!(aws.headers(&Fetcher::default(), &call, &signing).await, wanted, "{region}");
        }
    }
    let settings = [&own[..], &[("AWS_REGION", "evil.example/?")]].concat();
    let unnamed = Signing { region: String::new(), ..signing("arn:r") };
    let error = Aws::new(Settings::new(&settings)).headers(&Fetcher::default(), &call, &unnamed).await;
    assert!(said(error.unwrap_err()).contains("is not the name of a region"));
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[test]
fn tokens_of_the_controller_go_to_its_own_region() {
    let aws = Aws::with(&[("AWS_REGION", "eu-west-1")]);
    let wanted = ("eu-west-1", "https://sts.eu-west-1.amazonaws.com/".to_owned());
    assert_eq!(aws.token_service("us-east-1"), Ok(wanted));
    let wanted = ("us-east-1", "https://sts.us-east-1.amazonaws.com/".to_owned());
    assert_eq!(Aws::default().token_service("us-east-1"), Ok(wanted));
    assert!(Aws::default().token_service("evil.example/?").is_err());
}

fn said(why: Unsigned) -> String {
    match why {
        Unsigned::Failed(why) => why,
        Unsigned::Busy(answer) => panic!("{answer:?}"),
    }
}

/// The access key that signs, and the token of the session.
async fn key(aws: &Aws, signing: &Signing) -> Result<(String, Option<String>), Unsigned> {
    let found = aws.credentials(&Fetcher::default(), signing, "r").await?;
    Ok((found.access_key, found.session_token))
}

#[tokio::test]
async fn keys_in_the_environment_come_first_and_take_on_roles() {
    let (address, asked) = server().await;
    let aws = with_keys(&address);
    assert_eq!(key(&aws, &signing("")).await, Ok(("own-key".into(), None)));
    for _ in 0..2 {
        assert_eq!(key(&aws, &signing("arn:r")).await, Ok(("role-key".into(), Some("role-token".into()))));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1, "a session is kept until shortly before its end");
}

#[tokio::test]
async fn the_token_of_a_service_account_is_changed_for_a_role() {
    let (address, _asked) = server().await;
    let file = std::env::temp_dir().join(format!("tidegate-web-identity-{}", std::process::id()));
    std::fs::write(&file, "jwt\n").unwrap();
    let settings = |role| {
        Settings::new(&[
            ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
            ("AWS_ROLE_ARN", role),
            ("AWS_ENDPOINT_URL", &address),
        ])
    };
    let got = key(&Aws::new(settings("arn:r")), &signing("")).await;
    let refused = key(&Aws::new(settings("arn:other")), &signing("")).await;
    std::fs::remove_file(&file).unwrap();
    assert_eq!(got, Ok(("role-key".into(), Some("role-token".into()))));
    assert_eq!(refused, Err(failed("no credentials for AWS: the role was not given: AccessDenied")));
}

#[tokio::test]
async fn whoever_gives_credentials_is_left_alone_when_it_is_asked_too_often() {
    let (address, asked) = server().await;
    let aws = with_keys(&address);
    for _ in 0..2 {
        let Err(Unsigned::Busy(answer)) = key(&aws, &signing("arn:throttled")).await else { panic!() };
        let text = String::from_utf8(answer.body).unwrap();
        assert_eq!(text, "no credentials for AWS: the role was not given: Throttling");
        assert!(answer.status == 429 && answer.retry_after_seconds.is_some_and(|seconds| seconds > 5));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let answer = |status, retry_after_seconds| Response { status, body: Vec::new(), retry_after_seconds };
    assert!(
        matches!(told(&answer(503, Some(7))), Err(Unsigned::Busy(busy)) if busy.retry_after_seconds == Some(7))
    );
    assert!(matches!(told(&answer(503, None)), Err(Unsigned::Failed(_))));
}

#[tokio::test]
async fn a_role_that_never_comes_keeps_nobody_from_other_credentials() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    let aws = Arc::new(with_keys(&silent));
    let other = Arc::clone(&aws);
    let slow = tokio::spawn(async move { key(&other, &signing("arn:slow")).await });
    let _asked = listener.accept().await.unwrap();
    let quick = tokio::time::timeout(std::time::Duration::from_secs(5), key(&aws, &signing(""))).await;
    assert_eq!(quick, Ok(Ok(("own-key".into(), None))));
    slow.abort();
}

#[tokio::test]
async fn agents_and_instances_give_credentials() {
    let (address, _asked) = server().await;
    let agent = format!("{address}/agent");
    let of_agent = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "agent-token"),
    ];
    assert_eq!(key(&Aws::new(Settings::new(&of_agent)), &signing("")).await.unwrap().0, "pod-key");
    let refused = key(&Aws::new(Settings::new(&of_agent[..1])), &signing("")).await;
    assert_eq!(refused, Err(failed("no credentials for AWS: answer 404 holds none")));
    let of_instance = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", address.as_str())];
    assert_eq!(key(&Aws::new(Settings::new(&of_instance)), &signing("")).await.unwrap().0, "pod-key");
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let off = [("AWS_EC2_METADATA_DISABLED", "true")];
    let error = said(key(&Aws::new(Settings::new(&off)), &signing("")).await.unwrap_err());
    assert!(error.starts_with("no credentials for AWS: there are no keys"), "{error}");
    let profile = Signing { profile: "p".into(), ..signing("") };
    let error = said(key(&Aws::new(Settings::new(&off)), &profile).await.unwrap_err());
    assert_eq!(error, "no credentials for AWS: there is no profile \"p\" with keys");
    let call = call(Method::Get, "http://127.0.0.1:1/".into(), Vec::new());
    let nowhere = Signing { region: String::new(), ..signing("") };
    let error = said(Aws::default().headers(&Fetcher::default(), &call, &nowhere).await.unwrap_err());
    assert!(error.contains("neither it nor AWS_REGION names a region"), "{error}");
}
