//! File descriptors: connections must not take those that logs need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process open as many files as it may: the usual soft limit of 1024 is for programs that use `select`.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
        if let Err(error) = raised {
            tracing::debug!(%error, "the limit of open files stays where it is");
        }
    }
}

/// How many connections there may be: what was asked for, but at most three quarters of the files this process may
/// open. A flood of clients would otherwise look like a broken disk to the logs.
pub(crate) fn connections_max(asked: usize) -> usize {
    share(getrlimit(Resource::Nofile).current).min(asked)
}

fn share(limit: Option<u64>) -> usize {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    (limit / 4 * 3).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_is_left_to_the_logs() {
        assert_eq!(share(Some(1024)), 768);
        assert_eq!(share(Some(0)), 1);
        assert!(share(None) > 1 << 40);
        assert_eq!(connections_max(5), 5);
    }
}
