//! The way to the cluster: kubectl's flags, its kubeconfig, or the pod's own account.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use tidegate_api::go_duration;

/// How long a single request may take when nobody says otherwise; watches are not single requests.
const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Flags that kubectl has for every command.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Namespace; that of the context when absent.
    #[arg(short, long, global = true)]
    pub(crate) namespace: Option<String>,
    /// Context of the kubeconfig.
    #[arg(long, global = true)]
    context: Option<String>,
    /// Path of the kubeconfig; $KUBECONFIG or ~/.kube/config when absent.
    #[arg(long, global = true, value_name = "PATH")]
    kubeconfig: Option<PathBuf>,
    /// Time that a single request may take, such as 5s; 0 for no limit.
    #[arg(long, global = true, value_name = "DURATION")]
    request_timeout: Option<String>,
    /// User to act as.
    #[arg(long = "as", global = true, value_name = "USER")]
    as_user: Option<String>,
    /// Group to act as; may be repeated.
    #[arg(long, global = true, value_name = "GROUP")]
    as_group: Vec<String>,
    /// Uid to act as.
    #[arg(long, global = true, value_name = "UID")]
    as_uid: Option<String>,
    /// Cluster of the kubeconfig.
    #[arg(long, global = true, hide_short_help = true)]
    cluster: Option<String>,
    /// User of the kubeconfig.
    #[arg(long, global = true, hide_short_help = true)]
    user: Option<String>,
    /// Address of the API server.
    #[arg(short, long, global = true, value_name = "URL", hide_short_help = true)]
    server: Option<String>,
    /// Bearer token.
    #[arg(long, global = true, hide_short_help = true)]
    token: Option<String>,
    /// Certificate authority of the API server.
    #[arg(long, global = true, value_name = "PATH", hide_short_help = true)]
    certificate_authority: Option<PathBuf>,
    /// Client certificate.
    #[arg(long, global = true, value_name = "PATH", hide_short_help = true)]
    client_certificate: Option<String>,
    /// Key of the client certificate.
    #[arg(long, global = true, value_name = "PATH", hide_short_help = true)]
    client_key: Option<String>,
    /// Do not check the certificate of the API server.
    #[arg(long, global = true, hide_short_help = true)]
    insecure_skip_tls_verify: bool,
    /// Name that the certificate of the API server must have.
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    tls_server_name: Option<String>,
}

impl Connection {
    /// Builds a client, how it was set up, and the namespace to work in.
    pub(crate) async fn client(&self) -> Result<(Client, Config, String)> {
        let config = self.overridden(self.base().await?)?;
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client =
            Client::try_from(config.clone()).context("cannot set up the connection to the cluster")?;
        Ok((client, config, namespace))
    }

    /// Returns the time that a single request may take.
    pub(crate) fn request_timeout(&self) -> Result<Option<Duration>> {
        let Some(text) = &self.request_timeout else { return Ok(Some(DEFAULT_REQUEST_TIMEOUT)) };
        let timeout = parse_duration(text).context("--request-timeout")?;
        Ok((!timeout.is_zero()).then_some(timeout))
    }

    /// Reads the kubeconfig, or takes the account of the pod when there is none.
    async fn base(&self) -> Result<Config> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            cluster: self.cluster.clone(),
            user: self.user.clone(),
        };
        if let Some(path) = &self.kubeconfig {
            let kubeconfig = Kubeconfig::read_from(path).map_err(|error| anyhow!("--kubeconfig: {error}"))?;
            let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
            return config.map_err(|error| anyhow!("--kubeconfig: {error}"));
        }
        // The errors name their cause in their own text, so they are not chained.
        match Config::from_kubeconfig(&options).await {
            Ok(config) => Ok(config),
            Err(missing) if self.context.is_none() && std::env::var_os("KUBECONFIG").is_none() => {
                Config::incluster().map_err(|_| {
                    anyhow!("no cluster: name a kubeconfig with --kubeconfig or $KUBECONFIG ({missing})")
                })
            }
            Err(error) => Err(anyhow!("cannot use the kubeconfig: {error}")),
        }
    }

    /// Puts the flags in front of what the kubeconfig says.
    fn overridden(&self, mut config: Config) -> Result<Config> {
        if let Some(server) = &self.server {
            config.cluster_url =
                server.parse().with_context(|| format!("--server {server:?} is not a URL"))?;
        }
        if let Some(token) = &self.token {
            let auth_info: AuthInfo = serde_json::from_value(json!({ "token": token })).context("--token")?;
            config.auth_info = auth_info;
        }
        if self.client_certificate.is_some() {
            config.auth_info.client_certificate.clone_from(&self.client_certificate);
            config.auth_info.client_certificate_data = None;
        }
        if self.client_key.is_some() {
            config.auth_info.client_key.clone_from(&self.client_key);
            config.auth_info.client_key_data = None;
        }
        if self.as_user.is_some() {
            config.auth_info.impersonate.clone_from(&self.as_user);
        }
        if !self.as_group.is_empty() {
            config.auth_info.impersonate_groups = Some(self.as_group.clone());
        }
        if self.as_uid.is_some() {
            config.auth_info.impersonate_uid.clone_from(&self.as_uid);
        }
        if self.certificate_authority.is_some() {
            config.root_cert_file.clone_from(&self.certificate_authority);
        }
        if self.tls_server_name.is_some() {
            config.tls_server_name.clone_from(&self.tls_server_name);
        }
        config.accept_invalid_certs |= self.insecure_skip_tls_verify;
        Ok(config)
    }
}

/// Reads a duration as kubectl does: 90s, 1m30s, or a bare number of seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration> {
    let nanoseconds = match text.parse::<u32>() {
        Ok(seconds) => i64::from(seconds) * 1_000_000_000,
        Err(_) => go_duration::parse_nanoseconds(text).map_err(|error| anyhow!(error))?,
    };
    let nanoseconds =
        u64::try_from(nanoseconds).map_err(|_| anyhow!("duration {text:?} must not be negative"))?;
    Ok(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::parse_duration;
    use crate::{Grammar, cli};
    use kube::Config;
    use std::time::Duration;

    /// A kubeconfig that acts as somebody already, with the flags of a line in front of it.
    fn overridden(flags: &str) -> Config {
        let mut config = Config::new("https://first.example".parse().unwrap());
        config.auth_info.impersonate = Some("somebody".to_owned());
        config.auth_info.impersonate_uid = Some("1".to_owned());
        let line = format!("get rollouts {flags}");
        let cli = cli::parse(Grammar::Argo, line.split_whitespace()).unwrap();
        cli.connection.overridden(config).unwrap()
    }

    #[test]
    fn flags_say_as_whom_to_act_and_nothing_else_does() {
        let user = overridden("--insecure-skip-tls-verify=false").auth_info;
        assert_eq!(user.impersonate.as_deref(), Some("somebody"));
        assert_eq!((user.impersonate_uid.as_deref(), user.impersonate_groups), (Some("1"), None));
        let user = overridden("--as ann --as-uid=7 --as-group one --as-group two").auth_info;
        assert_eq!((user.impersonate.as_deref(), user.impersonate_uid.as_deref()), (Some("ann"), Some("7")));
        assert_eq!(user.impersonate_groups.unwrap(), ["one", "two"]);
    }

    #[test]
    fn certificates_go_unchecked_only_when_that_is_asked_for() {
        assert!(overridden("--insecure-skip-tls-verify").accept_invalid_certs);
        assert!(overridden("--insecure-skip-tls-verify=1").accept_invalid_certs);
        assert!(!overridden("--insecure-skip-tls-verify=false").accept_invalid_certs);
        assert!(!overridden("").accept_invalid_certs);
    }

    #[test]
    fn durations_have_kubectls_forms() {
        assert_eq!(parse_duration("90").unwrap(), Duration::from_secs(90));
        assert_eq!(parse_duration("1m30s").unwrap(), Duration::from_secs(90));
        assert_eq!(parse_duration("500ms").unwrap(), Duration::from_millis(500));
        assert!(parse_duration("-1s").is_err());
        assert!(parse_duration("soon").is_err());
    }
}
