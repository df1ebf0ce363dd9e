//! `highwater log`, as a person or a script runs it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use highwater_engine::embed::Logs;

/// Two logs of a hundred records each, stopped cleanly or not.
fn prepared(clean: bool) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let logs = Logs::open(place.path()).unwrap();
    for name in ["orders", "visits"] {
        let log = logs.log(name).unwrap();
        let mut tickets: Vec<_> = (0..100).map(|n| log.write(&format!("{name} {n}")).unwrap()).collect();
        tickets.pop().unwrap().wait().unwrap();
    }
    logs.maintain().unwrap();
    if clean {
        logs.close().unwrap();
    }
    place
}

fn run(action: &str, path: &Path, more: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
    let done =
        command.args(["log", action]).arg(path).args(more).env_remove("HIGHWATER_LOG").output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap() + &String::from_utf8(done.stderr).unwrap();
    (done.status.code().unwrap(), text)
}

fn segment(place: &Path) -> PathBuf {
    place.join("orders-0/00000000000000000000.log")
}

#[test]
fn a_sound_directory_is_inspected_and_verified() {
    let place = prepared(true);
    let (code, text) = run("verify", place.path(), &["--deep"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("200 records") && text.contains("everything fits"), "{text}");
    let (code, text) = run("verify", place.path(), &["--json"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("{\"worst\":null,\"findings\":[],\"logs\":2,"), "{text}");
    let (code, text) = run("inspect", place.path(), &[]);
    assert!(code == 0 && text.contains("orders-0: offsets 0 to 100 in 1 segment of"), "{text}");
    let (code, text) = run("inspect", &segment(place.path()), &["--json"]);
    assert_eq!((code, text.lines().count()), (0, 100), "{text}");
    assert!(text.starts_with("{\"position\":0,\"base_offset\":0,\"last_offset\":0,\"records\":1,"), "{text}");
}

#[test]
fn what_a_crash_left_is_settled() {
    let place = prepared(false);
    let (code, text) = run("verify", place.path(), &[]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains(&format!("highwater log settle {}", place.path().display())), "{text}");
    let (code, text) = run("settle", place.path(), &[]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("2 logs; the directory is as after a clean stop"), "{text}");
    assert_eq!(run("verify", place.path(), &[]).0, 0);
}

#[test]
fn damage_is_named_and_repaired_around() {
    let place = prepared(true);
    let file = segment(place.path());
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(9).position(|window| window == b"orders 42").unwrap();
    bytes[at] ^= 1;
    fs::write(&file, &bytes).unwrap();
    fs::write(place.path().join("visits-0/00000000000000000000.index"), b"no").unwrap();

    let (code, text) = run("verify", place.path(), &[]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("damage: ") && text.contains("offset 42: "), "{text}");
    assert!(text.contains(&format!("highwater log repair {}", place.path().display())), "{text}");
    let (code, text) = run("repair", place.path(), &[]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("orders-0: offsets 42 to 43 cannot be read"), "{text}");
    assert!(text.contains("00000000000000000000.index.bad-"), "{text}");
    assert_eq!(fs::read(&file).unwrap(), bytes, "damaged batches stay where they are");

    let logs = Logs::open(place.path()).unwrap();
    let read =
        |name: &str| logs.log(name).unwrap().snapshot().unwrap().records().filter(Result::is_ok).count();
    assert_eq!((read("orders"), read("visits")), (99, 100));
}

#[test]
fn what_cannot_be_done_says_why() {
    let place = prepared(true);
    let (code, text) = run("verify", &place.path().join("nowhere"), &[]);
    assert!(code == 2 && text.contains("is not there"), "{text}");
    let (code, text) = run("settle", &segment(place.path()), &[]);
    assert!(code == 2 && text.contains("as part of its data directory"), "{text}");
    let _logs = Logs::open(place.path()).unwrap();
    let (code, text) = run("settle", place.path(), &[]);
    assert!(code == 1 && text.contains("is in use") && text.contains("holds it"), "{text}");
}
