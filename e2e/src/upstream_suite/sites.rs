//! The sites on the internet that some of upstream's tests measure: nothing leaves the cluster's network, so HAProxy
//! answers in their place, over HTTPS, to a controller that takes it for them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::cluster::simulated::Simulated;
use crate::debian::Program;

/// Hosts, and as much of what they answer as the tests look at.
const SITES: [(&str, &str); 3] = [
    ("api.github.com", r#"{"name":"argo-rollouts"}"#),
    ("dns.google", r#"{"Status":0}"#),
    ("gist.githubusercontent.com", r#"{"message":"It worked!"}"#),
];
/// Inside the cluster's network.
const ADDRESS: &str = "127.0.0.1";
/// Its name among the programs of the cluster.
const NAME: &str = "sites";
/// Puts a file in the place of `/etc/hosts`, for one program alone.
const WITH_HOSTS: &str = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";

/// What a program must be given to reach the sites.
pub(super) struct Sites {
    hosts: PathBuf,
    /// The certificate of the authority that vouches for them.
    authority: PathBuf,
}

impl Sites {
    /// Starts them; their files go to a directory.
    pub(super) fn start(cluster: &Simulated, haproxy: &Program, directory: &Path) -> Result<Self> {
        let (authority, certificate) = certificates()?;
        let keep = |name: &str, text: &str| {
            let path = directory.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            anyhow::Ok(path)
        };
        let certificate = keep("sites.pem", &certificate)?;
        let config = keep("sites.cfg", &config(&certificate))?;
        let args = ["-db".to_owned(), "-f".to_owned(), config.display().to_string()];
        let libraries = std::env::join_paths(&haproxy.libraries)?;
        let env = [("LD_LIBRARY_PATH", libraries.to_str().context("a path is not UTF-8")?)];
        cluster.run(NAME, &haproxy.path, &args, &env)?;
        Ok(Self { hosts: keep("sites.hosts", &hosts())?, authority: keep("sites-ca.pem", &authority)? })
    }

    /// The environment of a program that believes the sites.
    pub(super) fn env(&self) -> Result<(&'static str, &str)> {
        Ok(("SSL_CERT_FILE", self.authority.to_str().context("a path is not UTF-8")?))
    }

    /// The program and the arguments that start a program which finds the sites.
    pub(super) fn reachable(&self, program: &Path, args: Vec<String>) -> (PathBuf, Vec<String>) {
        let mut all: Vec<String> = ["--mount", "sh", "-c", WITH_HOSTS].map(str::to_owned).into();
        all.extend([self.hosts.display().to_string(), program.display().to_string()]);
        all.extend(args);
        (PathBuf::from("unshare"), all)
    }
}

fn hosts() -> String {
    let sites = SITES.map(|(host, _)| format!("{ADDRESS} {host}\n"));
    format!("127.0.0.1 localhost\n{}", sites.concat())
}

fn config(certificate: &Path) -> String {
    let answers = SITES.map(|(host, answer)| {
        format!(
            "  http-request return status 200 content-type application/json string '{answer}' if {{ hdr(host) -i {host} }}\n"
        )
    });
    format!(
        "defaults\n  mode http\n  timeout client 30s\n  timeout connect 1s\n  timeout server 1s\n\
         frontend sites\n  bind {ADDRESS}:443 ssl crt {}\n{}",
        certificate.display(),
        answers.concat()
    )
}

/// The certificate of an authority, and one of its for all sites with the key, as PEM.
fn certificates() -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "tidegate-e2e-sites");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let authority = params.self_signed(&key)?.pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate()?;
    let names: Vec<String> = SITES.map(|(host, _)| host.to_owned()).into();
    let certificate = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
    Ok((authority, certificate.pem() + &key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_site_has_an_address_and_an_answer_that_is_json() {
        let (hosts, config) = (hosts(), config(Path::new("/a.pem")));
        for (host, answer) in SITES {
            serde_json::from_str::<serde_json::Value>(answer).unwrap();
            assert!(hosts.contains(&format!("127.0.0.1 {host}\n")), "{hosts}");
            assert!(
                config.contains(&format!("string '{answer}' if {{ hdr(host) -i {host} }}\n")),
                "{config}"
            );
        }
    }

    #[test]
    fn a_program_keeps_its_arguments() {
        let sites = Sites { hosts: "/h".into(), authority: "/a".into() };
        let (program, args) = sites.reachable(Path::new("/p"), vec!["--x=y z".to_owned()]);
        assert_eq!(
            (program.as_os_str(), args[4..].to_vec()),
            ("unshare".as_ref(), vec!["/h".to_owned(), "/p".to_owned(), "--x=y z".to_owned()])
        );
    }
}
