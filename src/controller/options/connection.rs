//! Which cluster, and as whom: the flags of kubectl that upstream takes.
//!
//! Input: arguments. Output: a configuration of the client. What only a kubeconfig can say safely is not taken.

use std::path::PathBuf;

use clap::{ArgAction, Args};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::RunError;

/// Flags that choose or overrule parts of a kubeconfig.
#[derive(Clone, Debug, Args)]
pub(crate) struct Connection {
    /// Path of a kubeconfig; the pod's own credentials by default
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long)]
    context: Option<String>,
    /// Cluster of the kubeconfig
    #[arg(long)]
    cluster: Option<String>,
    /// User of the kubeconfig
    #[arg(long)]
    user: Option<String>,
    /// Address of the API server
    #[arg(long, short)]
    server: Option<http::Uri>,
    /// Name to expect in the server's certificate
    #[arg(long)]
    tls_server_name: Option<String>,
    /// Do not check the server's certificate
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    insecure_skip_tls_verify: bool,
    /// File with the authorities that may sign the server's certificate
    #[arg(long)]
    certificate_authority: Option<PathBuf>,
    /// File with a certificate to show to the server
    #[arg(long)]
    client_certificate: Option<String>,
    /// File with the key of that certificate
    #[arg(long)]
    client_key: Option<String>,
    /// Address of a proxy
    #[arg(long)]
    proxy_url: Option<http::Uri>,
    /// User to act as
    #[arg(long = "as")]
    act_as: Option<String>,
    /// Groups to act as; repeatable
    #[arg(long = "as-group")]
    act_as_groups: Vec<String>,
    /// Uid to act as
    #[arg(long = "as-uid")]
    act_as_uid: Option<String>,
}

impl Connection {
    /// Finds the cluster and how to reach it.
    ///
    /// # Errors
    /// Fails when the kubeconfig cannot be used, or when there is no cluster to be found.
    pub(crate) async fn config(&self) -> Result<Config, RunError> {
        let named = KubeConfigOptions {
            context: self.context.clone(),
            cluster: self.cluster.clone(),
            user: self.user.clone(),
        };
        let is_named = self.context.is_some() || self.cluster.is_some() || self.user.is_some();
        let mut config = match (&self.kubeconfig, &self.server) {
            (Some(path), _) => Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &named).await?,
            (None, _) if is_named => Config::from_kubeconfig(&named).await?,
            (None, Some(server)) => Config::infer().await.unwrap_or_else(|_| Config::new(server.clone())),
            (None, None) => Config::infer().await?,
        };
        self.overrule(&mut config);
        Ok(config)
    }

    fn overrule(&self, config: &mut Config) {
        if let Some(server) = &self.server {
            config.cluster_url = server.clone();
        }
        if let Some(file) = &self.certificate_authority {
            config.root_cert = None;
            config.root_cert_file = Some(file.clone());
        }
        config.accept_invalid_certs |= self.insecure_skip_tls_verify;
        set(&mut config.tls_server_name, self.tls_server_name.as_ref());
        set(&mut config.proxy_url, self.proxy_url.as_ref());
        let user = &mut config.auth_info;
        if self.client_certificate.is_some() {
            user.client_certificate_data = None;
        }
        if self.client_key.is_some() {
            user.client_key_data = None;
        }
        set(&mut user.client_certificate, self.client_certificate.as_ref());
        set(&mut user.client_key, self.client_key.as_ref());
        set(&mut user.impersonate, self.act_as.as_ref());
        set(&mut user.impersonate_uid, self.act_as_uid.as_ref());
        set(&mut user.impersonate_groups, Some(&self.act_as_groups).filter(|groups| !groups.is_empty()));
    }
}

fn set<T: Clone>(part: &mut Option<T>, given: Option<&T>) {
    if let Some(given) = given {
        *part = Some(given.clone());
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        connection: Connection,
    }

    fn overruled(arguments: &[&str]) -> Config {
        let line = Line::try_parse_from([&["tidegate"], arguments].concat()).unwrap();
        let mut config = Config::new("https://first.example".parse().unwrap());
        config.root_cert = Some(Vec::new());
        config.auth_info.impersonate = Some("somebody".to_owned());
        line.connection.overrule(&mut config);
        config
    }

    #[test]
    fn flags_overrule_the_kubeconfig_and_nothing_else_does() {
        let config = overruled(&[]);
        assert_eq!(config.cluster_url.host(), Some("first.example"));
        assert!(config.root_cert.is_some() && !config.accept_invalid_certs);
        assert_eq!(config.auth_info.impersonate.as_deref(), Some("somebody"));
        let config = overruled(&[
            "--server=http://127.0.0.1:8001",
            "--certificate-authority=/ca.crt",
            "--insecure-skip-tls-verify",
            "--as=system:serviceaccount:a:b",
            "--as-group=one",
            "--as-group=two",
        ]);
        assert_eq!(config.cluster_url.authority().unwrap(), "127.0.0.1:8001");
        assert!(config.root_cert.is_none() && config.root_cert_file.is_some() && config.accept_invalid_certs);
        assert_eq!(config.auth_info.impersonate.as_deref(), Some("system:serviceaccount:a:b"));
        assert_eq!(config.auth_info.impersonate_groups.unwrap(), ["one", "two"]);
    }
}
