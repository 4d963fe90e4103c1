//! Flags of upstream that mean nothing here: accepted, so that its manifests start this controller, or refused by name.
//!
//! Input: arguments. Output: the names of what was given without effect, and what is wrong.

use clap::Args;

/// Flags of upstream that are accepted and have no effect here.
#[derive(Clone, Debug, Args)]
pub(crate) struct Accepted {
    #[arg(long, hide = true)]
    service_threads: Option<String>,
    #[arg(long, hide = true)]
    ingress_threads: Option<String>,
    #[arg(long, hide = true)]
    ephemeral_metadata_threads: Option<String>,
    #[arg(long, hide = true)]
    ephemeral_metadata_update_pod_retries: Option<String>,
    #[arg(long, hide = true)]
    aws_target_group_binding_api_version: Option<String>,
    #[arg(long, hide = true)]
    alb_tag_key_resource_id: Option<String>,
    #[arg(long, hide = true)]
    istio_api_version: Option<String>,
    #[arg(long, hide = true)]
    ambassador_api_version: Option<String>,
    #[arg(long, hide = true)]
    traffic_split_api_version: Option<String>,
    #[arg(long, hide = true)]
    traefik_api_group: Option<String>,
    #[arg(long, hide = true)]
    traefik_api_version: Option<String>,
    #[arg(long, hide = true)]
    ingress_api_version: Option<String>,
    #[arg(long, hide = true)]
    appmesh_crd_version: Option<String>,
    #[arg(long, hide = true)]
    alb_ingress_classes: Vec<String>,
    /// An Ingress is found by its name, so its class does not matter
    #[arg(long, hide = true)]
    nginx_ingress_classes: Vec<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    alb_verify_weight: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    aws_verify_target_group: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    self_service_notification_enabled: Option<String>,
    #[arg(long, hide = true)]
    enable_pprof_address: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    disable_compression: Option<String>,
}

/// Flags of kubectl that upstream takes as well, for what belongs into a kubeconfig: a secret in an argument is shown to
/// everybody who may list processes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Refused {
    #[arg(long, hide = true)]
    token: Option<String>,
    #[arg(long, hide = true)]
    username: Option<String>,
    #[arg(long, hide = true)]
    password: Option<String>,
    #[arg(long, hide = true)]
    request_timeout: Option<String>,
}

impl Refused {
    /// Checks that none of them was given.
    ///
    /// # Errors
    /// Names the flag, and what to do instead.
    pub(crate) fn check(&self) -> Result<(), String> {
        let flags = [
            (self.token.is_some(), "--token"),
            (self.username.is_some(), "--username"),
            (self.password.is_some(), "--password"),
        ];
        if let Some((_, name)) = flags.into_iter().find(|(given, _)| *given) {
            return Err(format!("{name} is not taken from the command line: name a file with --kubeconfig"));
        }
        if self.request_timeout.is_some() {
            return Err("--request-timeout cannot be set: requests have limits of their own".to_owned());
        }
        Ok(())
    }
}

impl Accepted {
    /// Names of the flags that were given and have no effect.
    pub(crate) fn given(&self) -> Vec<&'static str> {
        let flags = [
            (self.service_threads.is_some(), "--service-threads"),
            (self.ingress_threads.is_some(), "--ingress-threads"),
            (self.ephemeral_metadata_threads.is_some(), "--ephemeral-metadata-threads"),
            (self.ephemeral_metadata_update_pod_retries.is_some(), "--ephemeral-metadata-update-pod-retries"),
            (self.aws_target_group_binding_api_version.is_some(), "--aws-target-group-binding-api-version"),
            (self.alb_tag_key_resource_id.is_some(), "--alb-tag-key-resource-id"),
            (self.istio_api_version.is_some(), "--istio-api-version"),
            (self.ambassador_api_version.is_some(), "--ambassador-api-version"),
            (self.traffic_split_api_version.is_some(), "--traffic-split-api-version"),
            (self.traefik_api_group.is_some(), "--traefik-api-group"),
            (self.traefik_api_version.is_some(), "--traefik-api-version"),
            (self.ingress_api_version.is_some(), "--ingress-api-version"),
            (self.appmesh_crd_version.is_some(), "--appmesh-crd-version"),
            (!self.alb_ingress_classes.is_empty(), "--alb-ingress-classes"),
            (!self.nginx_ingress_classes.is_empty(), "--nginx-ingress-classes"),
            (self.alb_verify_weight.is_some(), "--alb-verify-weight"),
            (self.aws_verify_target_group.is_some(), "--aws-verify-target-group"),
            (self.self_service_notification_enabled.is_some(), "--self-service-notification-enabled"),
            (self.enable_pprof_address.is_some(), "--enable-pprof-address"),
            (self.disable_compression.is_some(), "--disable-compression"),
        ];
        flags.into_iter().filter(|(given, _)| *given).map(|(_, name)| name).collect()
    }
}
