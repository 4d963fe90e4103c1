//! Keeps a panic in the `expr` crate to itself.
//!
//! Such a panic prints a part of the expression, and there may be a Secret in it by then: nothing of it may reach a log. Other
//! panics are printed as ever.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether the thread is at work on an expression.
    static IS_AT_WORK: Cell<bool> = const { Cell::new(false) };
}

/// Does some work; nothing if it panics, and nobody hears of that.
pub(super) fn run<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(put_before_the_hook);
    let was_at_work = IS_AT_WORK.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    IS_AT_WORK.set(was_at_work);
    done.ok()
}

/// Lets only those panics through to the present hook that happen outside of [`run`].
fn put_before_the_hook() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !IS_AT_WORK.get() {
            hook(panic);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use std::thread;

    #[test]
    fn a_panic_over_an_expression_is_told_to_nobody() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (ours, others, told) = (thread::current().id(), panic::take_hook(), Arc::clone(&heard));
        panic::set_hook(Box::new(move |panic| {
            if thread::current().id() == ours {
                told.lock().unwrap().push(panic.payload_as_str().unwrap_or_default().to_owned());
            } else {
                others(panic);
            }
        }));
        put_before_the_hook();
        assert_eq!(run(|| 1), Some(1));
        assert_eq!(run(|| -> u8 { panic!("a secret") }), None);
        assert_eq!(run(|| run(|| -> u8 { panic!("a secret within") }).is_some()), Some(false));
        let after_another = || -> u8 {
            run(|| 1);
            panic!("a secret");
        };
        assert_eq!(run(after_another), None);
        assert!(panic::catch_unwind(|| panic!("no secret")).is_err());
        assert_eq!(*heard.lock().unwrap(), ["no secret"]);
    }
}
