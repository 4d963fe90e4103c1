//! The verbs, one file each, and the way from parsed arguments to them.

pub(crate) mod abort;
mod application;
pub(crate) mod completion;
pub(crate) mod create;
pub(crate) mod diff;
mod experiment;
pub(crate) mod explain;
pub(crate) mod get;
mod guard;
pub(crate) mod history;
pub(crate) mod later;
pub(crate) mod lint;
pub(crate) mod list;
mod operation;
pub(crate) mod pause;
pub(crate) mod promote;
pub(crate) mod refresh;
pub(crate) mod replay;
pub(crate) mod restart;
pub(crate) mod retry;
pub(crate) mod rollback;
pub(crate) mod set;
pub(crate) mod status;
pub(crate) mod sync;
pub(crate) mod terminate;
pub(crate) mod undo;
pub(crate) mod version;

#[cfg(test)]
mod tests;

use anyhow::Result;

use crate::cli::{Cli, Verb};
use crate::session::Session;
use crate::terminal::Terminal;
use crate::{Exit, Grammar};

/// Carries out a command; connects to the cluster only when the verb needs it.
pub(crate) async fn run(cli: Cli, grammar: Grammar, terminal: &mut Terminal) -> Result<Exit> {
    match &cli.verb {
        Verb::Version(version) => return version.run(grammar, terminal),
        Verb::Completion(completion) => return completion.run(grammar, terminal),
        Verb::Lint(lint) => return lint.run(grammar, terminal),
        Verb::Later(later) => return Err(later.refusal(grammar)),
        Verb::Get(_)
        | Verb::List(_)
        | Verb::Status(_)
        | Verb::Promote(_)
        | Verb::Abort(_)
        | Verb::Retry(_)
        | Verb::Pause(_)
        | Verb::Restart(_)
        | Verb::Undo(_)
        | Verb::Set(_)
        | Verb::Create(_)
        | Verb::Terminate(_)
        | Verb::History(_)
        | Verb::Explain(_)
        | Verb::Diff(_)
        | Verb::Sync(_)
        | Verb::Refresh(_)
        | Verb::Replay(_)
        | Verb::Rollback(_)
        | Verb::TerminateOp(_) => {}
    }
    let (client, config, namespace) = cli.connection.client().await?;
    let request_timeout = cli.connection.request_timeout()?;
    let is_namespace_given = cli.connection.namespace.is_some();
    let mut session = Session {
        client,
        config: Some(config),
        namespace,
        is_namespace_given,
        grammar,
        terminal,
        request_timeout,
    };
    run_on(&cli.verb, &mut session).await
}

/// Carries out a verb on a cluster.
pub(crate) async fn run_on(verb: &Verb, session: &mut Session<'_>) -> Result<Exit> {
    match verb {
        Verb::Get(get) => get.run(session).await,
        Verb::List(list) => list.run(session).await,
        Verb::Status(status) => status.run(session).await,
        Verb::Promote(promote) => promote.run(session).await,
        Verb::Abort(abort) => abort.run(session).await,
        Verb::Retry(retry) => retry.run(session).await,
        Verb::Pause(pause) => pause.run(session).await,
        Verb::Restart(restart) => restart.run(session).await,
        Verb::Undo(undo) => undo.run(session).await,
        Verb::Set(set) => set.run(session).await,
        Verb::Terminate(terminate) => terminate.run(session).await,
        Verb::History(history) => history.run(session).await,
        Verb::Explain(explain) => explain.run(session).await,
        Verb::Diff(diff) => diff.run(session).await,
        Verb::Sync(sync) => sync.run(session).await,
        Verb::Refresh(refresh) => refresh.run(session).await,
        Verb::Replay(replay) => replay.run(session).await,
        Verb::Rollback(rollback) => rollback.run(session).await,
        Verb::TerminateOp(names) => terminate::applications(session, &names.names).await,
        Verb::Version(version) => version.run(session.grammar, session.terminal),
        Verb::Completion(completion) => completion.run(session.grammar, session.terminal),
        Verb::Create(create) => create.run(session).await,
        Verb::Lint(lint) => lint.run(session.grammar, session.terminal),
        Verb::Later(later) => Err(later.refusal(session.grammar)),
    }
}
