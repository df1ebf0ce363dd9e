//! Scenarios: a few steps of a protocol as a text that people read, and what came of each step.
//!
//! A file in `sim/scenarios/` tells one story. Lines that begin with `>` are steps, lines that begin with `#` are the
//! telling, everything else is what the cores answered. A test plays every file and compares;
//! `HIGHWATER_REGENERATE=1 cargo test -p highwater-sim scenario` writes the answers anew, so that a change of behaviour
//! is a difference that a person can read. A new case needs no code.
//!
//! What is on the stage is one partition `t-0`, with the real cores: [`highwater_replication::Leader`] and `Follower`,
//! and the decisions of [`highwater_metadata::decide`]. Logs are lists, and every message goes where a step says.
//!
//! | Step | What happens |
//! |---|---|
//! | `cluster R.. [brokers N] [min-isr N] [synced]` | brokers 1 to N, a partition on the replicas R, the first of them leads |
//! | `produce B TEXT..` | B appends, for `acks=all` |
//! | `sync B` | everything in B's log is on stable storage |
//! | `fetch B` | B asks its leader and takes in the answer |
//! | `ask B`, `take B` | the two halves of it |
//! | `lag B MS` | MS milliseconds pass; leader B looks who is late |
//! | `propose B`, `refuse B` | the controller judges what leader B proposes; B hears that it was refused |
//! | `deaf B`, `hear B` | B does not hear of decisions; it hears all of them |
//! | `crash B [lose N]`, `boot B [clean] [empty]` | B's process dies, with the last N records that are not synced; it registers again |
//! | `beat B [stop] [io MS] [offline]`, `fence B` | a heartbeat of B, which wants to stop, whose disk hangs or has failed; its session is over |
//! | `elect preferred`, `elect unclean` | somebody asks for an election |
//! | `reassign R..`, `reassign cancel` | the partition on other replicas |
//! | `latest B`, `epoch-end B E`, `nearest B RACK OFFSET` | what a client asks of B |
//! | `show` | everything |

mod log;
mod script;
mod stage;
mod steps;

pub use script::play;

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn every_scenario_plays_as_it_is_written() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let anew = std::env::var_os("HIGHWATER_REGENERATE").is_some();
        let mut played = 0;
        for entry in fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("it can be read").path();
            let written = fs::read_to_string(&path).expect("a scenario is text");
            let now = super::play(&written).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
            if anew {
                fs::write(&path, &now).expect("it can be written");
            } else {
                assert_eq!(now, written, "{}: HIGHWATER_REGENERATE=1 writes it anew", path.display());
            }
            played += 1;
        }
        assert!(played >= 12, "{played} scenarios are not all");
    }

    #[test]
    fn what_is_no_step_is_refused() {
        for wrong in ["> dance 1", "> produce", "> fetch 1", "> cluster 1 2 3\n> fetch 9"] {
            assert!(super::play(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn old_answers_do_not_matter() {
        let story = "# one\n> cluster 1 2\n> produce 1 a\n";
        let once = super::play(story).unwrap();
        assert_ne!(once, story);
        assert_eq!(super::play(&once).unwrap(), once);
        assert_eq!(super::play(&once.replace("end 1", "end 7")).unwrap(), once);
    }
}
