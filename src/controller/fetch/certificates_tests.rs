//! Whose certificates are believed: those of the authorities in `SSL_CERT_FILE`, and any where a metric says so.
//!
//! The variable counts for a whole process, so this program runs itself once more to try it.

use std::process::Output;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Where the child asks; without it there is no parent and nothing to do.
const ADDRESS: &str = "TIDEGATE_TEST_ADDRESS";

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

/// A server whose certificate an authority has signed.
async fn server(authority: &CertifiedIssuer<'static, KeyPair>) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // Whoever does not believe the certificate hangs up.
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut asked = [0; 1024];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n0.97").await;
            }
        }
    });
    address
}

fn call(url: &str, insecure: bool) -> Call {
    Call { insecure, ..Call::to(Method::Get, url.to_owned(), 30) }
}

/// Asks in a process of its own that believes this authority.
async fn ask(address: &str, authority: &CertifiedIssuer<'static, KeyPair>, name: &str) -> Output {
    let file = std::env::temp_dir().join(format!("tidegate-authority-{name}-{}", std::process::id()));
    std::fs::write(&file, authority.pem()).unwrap();
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fetch::certificates_tests::asks_for_its_parent", "--nocapture"])
        .env("SSL_CERT_FILE", &file)
        .env_remove("SSL_CERT_DIR")
        .env(ADDRESS, address)
        .output();
    let output = child.await.unwrap();
    std::fs::remove_file(&file).unwrap();
    output
}

#[tokio::test]
async fn asks_for_its_parent() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let answer = Fetcher::default().http(&call(&address, false), &mut Sent::default()).await;
    assert_eq!(answer.map(|response| response.body), Ok(b"0.97".to_vec()));
}

#[tokio::test]
async fn authorities_of_ones_own_are_believed() {
    let (own, other) = (authority(), authority());
    let address = server(&own).await;
    let believed = ask(&address, &own, "own").await;
    assert!(believed.status.success(), "{believed:?}");
    let refused = ask(&address, &other, "other").await;
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("invalid peer certificate"), "{refused:?}");
}

#[tokio::test]
async fn any_certificate_is_believed_where_the_metric_says_so() {
    let address = server(&authority()).await;
    let answer = Fetcher::default().http(&call(&address, true), &mut Sent::default()).await;
    assert_eq!(answer.map(|response| response.status), Ok(200));
}
