//! Logs: keys and values, as text for people or JSON for machines, on standard error.
//!
//! Input: levels and a format. Output: the process's subscriber. RUST_LOG, where set, wins over the flags.

use tracing_subscriber::EnvFilter;

use crate::options::LogFormat;

/// The crate that evaluates conditions tells what it parses, in which Secrets are filled in.
const UNHEARD: &str = "expr=off";

/// Installs the process's log writer; a second call changes nothing.
pub(crate) fn install(level: &str, client_verbosity: u8, format: LogFormat) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(directives(level, client_verbosity)));
    let filter = with_secrets_unheard(filter);
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let _ = match format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Text => lines.with_ansi(false).try_init(),
    };
}

/// Whatever RUST_LOG asks for.
fn with_secrets_unheard(filter: EnvFilter) -> EnvFilter {
    match UNHEARD.parse() {
        Ok(unheard) => filter.add_directive(unheard),
        Err(_) => filter,
    }
}

/// Our own crates get the level, libraries warn only; klog's verbosity stands for the Kubernetes client.
fn directives(level: &str, client_verbosity: u8) -> String {
    // The names that upstream takes, and this crate does not know.
    let level = match level.to_lowercase().as_str() {
        "panic" | "fatal" => "error".to_owned(),
        "warning" => "warn".to_owned(),
        other => other.to_owned(),
    };
    let client = match client_verbosity {
        // Whoever made the request tells its failure, so the client need not.
        0..=3 => "kube_client=off,kube_runtime=error",
        4..=5 => "kube_client=info,kube_runtime=info",
        6..=7 => "kube_client=debug,kube_runtime=debug",
        _ => "kube_client=trace,kube_runtime=trace",
    };
    format!("warn,tidegate={level},tidegate_controller={level},tidegate_engine={level},{client}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_hears_what_conditions_are_made_of() {
        for asked in ["trace", "expr=trace", "warn"] {
            let filter = with_secrets_unheard(EnvFilter::new(asked)).to_string();
            assert!(filter.split(',').any(|directive| directive == UNHEARD), "{asked}: {filter}");
            assert!(!filter.contains("expr=trace"), "{filter}");
        }
    }

    #[test]
    fn levels_of_upstream_are_understood() {
        assert!(directives("Warning", 0).contains("tidegate_controller=warn,"));
        assert!(directives("panic", 0).contains("tidegate_controller=error,"));
        assert!(directives("info", 6).ends_with("kube_runtime=debug"));
        EnvFilter::try_new(directives("debug", 9)).unwrap();
    }
}
