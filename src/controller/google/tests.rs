//! Tokens from servers on loopback that answer as Google's own do.

use axum::Router;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse as _;
use axum::routing::any;
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;
use tokio::net::TcpListener;

use super::*;

/// Made for these tests, and used for nothing else.
const PRIVATE_KEY: &str = include_str!("key_of_a_test.txt");
const SCOPE: &str = "https://www.googleapis.com/auth/monitoring.read";

/// Whether a claim is signed by the key, and for whom.
fn is_right(assertion: &str) -> bool {
    let (text, signature) = assertion.rsplit_once('.').unwrap();
    let public = key_pair(PRIVATE_KEY).unwrap().public_key().as_ref().to_vec();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(text.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    public.verify(text.as_bytes(), &signature).is_ok() && claims["iss"] == "me@x" && claims["scope"] == SCOPE
}

async fn server() -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let handle = |uri: Uri, headers: HeaderMap, body: String| async move {
        let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
        let token =
            |name: &str| (StatusCode::OK, format!(r#"{{"access_token":"{name}","expires_in":3599}}"#));
        match uri.path() {
            "/token" if body.strip_prefix(grant).is_some_and(is_right) => token("by-key"),
            TOKEN_PATH if headers.get("metadata-flavor").is_some_and(|flavor| flavor == "Google") => {
                token("own")
            }
            "/busy" => {
                let wait = [(RETRY_AFTER, "40")];
                return (StatusCode::SERVICE_UNAVAILABLE, wait, "hush").into_response();
            }
            _ => (StatusCode::BAD_REQUEST, r#"{"error":"invalid_grant"}"#.to_owned()),
        }
        .into_response()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(handle))).await });
    address
}

fn key(address: &str, email: &str) -> String {
    let pem = format!("-----BEGIN X-----\n{PRIVATE_KEY}-----END X-----\n");
    json!({"client_email": email, "private_key": pem, "token_uri": format!("http://{address}/token")})
        .to_string()
}

#[tokio::test]
async fn a_key_is_changed_for_a_token() {
    let address = server().await;
    let (google, fetcher) = (Google { allows_plain: true, ..Google::default() }, Fetcher::default());
    assert_eq!(google.token(&fetcher, Some(&key(&address, "me@x")), SCOPE).await, Ok("by-key".into()));
    let error = google.token(&fetcher, Some(&key(&address, "other@x")), SCOPE).await.unwrap_err();
    assert_eq!(error, format!("no token from http://{address}: answer 400 holds no access_token").into());
}

#[tokio::test]
async fn a_server_of_tokens_that_is_busy_puts_off_the_request() {
    let address = server().await;
    let google = Google { allows_plain: true, ..Google::default() };
    let busy = key(&address, "me@x").replace("/token", "/busy");
    let body = format!("no token from http://{address}: answer 503 holds no access_token").into_bytes();
    let wanted = Err(Unsigned::Busy(Response { status: 503, body, retry_after_seconds: Some(40) }));
    for _ in 0..2 {
        assert_eq!(google.token(&Fetcher::default(), Some(&busy), SCOPE).await, wanted);
    }
}

#[tokio::test]
async fn keys_go_to_servers_with_tls_only() {
    let address = server().await;
    let error = Google::default().token(&Fetcher::default(), Some(&key(&address, "me@x")), SCOPE).await;
    assert_eq!(error, Err("token_uri of serviceAccountKey must begin with https://".to_owned().into()));
}

#[test]
fn tokens_are_neither_long_nor_kept_for_long() {
    let granted = |token: &str, seconds: i64| {
        let body = json!({"access_token": token, "expires_in": seconds}).to_string().into_bytes();
        granted("t", &Response { status: 200, body, retry_after_seconds: None }, Timestamp::UNIX_EPOCH)
    };
    for (seconds, kept) in [(3599, 3539), (i64::MAX, 3540), (i64::MIN, -60), (0, -60)] {
        assert_eq!(
            granted("t", seconds),
            Ok(("t".into(), Timestamp::from_second(kept).unwrap())),
            "{seconds}"
        );
    }
    let error = granted(&"t".repeat(LONGEST_TOKEN + 1), 1).unwrap_err();
    assert_eq!(error, "no token from t: the access_token is longer than 16384 bytes".to_owned().into());
}

#[tokio::test]
async fn without_a_key_it_is_the_account_of_the_pod() {
    let address = server().await;
    let google = Google { metadata: Some(address), ..Google::default() };
    assert_eq!(google.token(&Fetcher::default(), None, SCOPE).await, Ok("own".into()));
}

#[tokio::test]
async fn nothing_of_a_wrong_key_is_told() {
    let google = Google::default();
    let bad = json!({"client_email": "e", "private_key": "hush", "token_uri": "http://t"}).to_string();
    for key in ["hush", bad.as_str()] {
        let error = google.token(&Fetcher::default(), Some(key), SCOPE).await.unwrap_err();
        assert_eq!(error, "serviceAccountKey is not the JSON of a service account's key".to_owned().into());
    }
}
