//! Every piece of the museum is caught. `HIGHWATER_MUSEUM_SEEDS` sets how many seeds each gets, `HIGHWATER_MUSEUM` takes
//! only the pieces whose name contains it.

use std::{fs, panic::catch_unwind, path::Path, sync::Mutex};

use highwater_sim::{
    cluster::museum::{Bug, COVERED, PIECES},
    coordinator,
    scenario::play,
};

/// A bug is built in for the whole process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn every_piece_of_coordinators_is_caught() {
    let _alone = ONE_AT_A_TIME.lock();
    let most = std::env::var("HIGHWATER_MUSEUM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let wanted = std::env::var("HIGHWATER_MUSEUM").unwrap_or_default();
    let (mut escaped, mut findings) = (Vec::new(), Vec::new());
    println!("| Bug | Caught by | Seeds | Simulated hours |");
    println!("|---|---|---:|---:|");
    for piece in coordinator::museum::PIECES.iter().filter(|piece| piece.name.contains(&wanted)) {
        let caught = piece.hunt(most);
        let by = caught.by.and_then(|outcome| outcome.violation).map(|violation| violation.invariant);
        findings.extend(
            caught.findings.iter().map(|outcome| (piece.name, outcome.seed, outcome.violation.clone())),
        );
        let hours = caught.simulated.as_secs_f64() / 3600.0;
        println!("| {} | {} | {} | {hours:.2} |", piece.name, by.unwrap_or("nothing"), caught.seeds);
        if by.is_none() {
            escaped.push(piece.name);
        }
    }
    assert!(findings.is_empty(), "these fail without any bug: {findings:?}");
    assert!(escaped.is_empty(), "these escaped: {escaped:?}");
}

#[test]
fn every_piece_is_caught() {
    let _alone = ONE_AT_A_TIME.lock();
    let most = std::env::var("HIGHWATER_MUSEUM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let wanted = std::env::var("HIGHWATER_MUSEUM").unwrap_or_default();
    let (mut escaped, mut findings) = (Vec::new(), Vec::new());
    println!("| Bug | Caught by | Seeds | Simulated hours |");
    println!("|---|---|---:|---:|");
    for piece in PIECES.iter().filter(|piece| piece.name.contains(&wanted)) {
        let caught = piece.hunt(most);
        let by = caught.by.and_then(|outcome| outcome.violation).map(|violation| violation.invariant);
        findings.extend(
            caught.findings.iter().map(|outcome| (piece.name, outcome.seed, outcome.violation.clone())),
        );
        let hours = caught.simulated.as_secs_f64() / 3600.0;
        println!("| {} | {} | {} | {hours:.2} |", piece.name, by.unwrap_or("nothing"), caught.seeds);
        if by.is_none() {
            escaped.push(piece.name);
        }
    }
    for (name, bug) in COVERED.iter().filter(|(name, _)| name.contains(&wanted)) {
        match scenario_that_changes(*bug) {
            Some(scenario) => println!("| {name} | scenario {scenario} | - | - |"),
            None => escaped.push(name),
        }
    }
    assert!(findings.is_empty(), "these fail without any bug: {findings:?}");
    assert!(escaped.is_empty(), "these escaped: {escaped:?}");
}

/// The first scenario that plays otherwise with the bug, or not at all, and as it is written without it.
fn scenario_that_changes(bug: Bug) -> Option<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut paths: Vec<_> =
        fs::read_dir(folder).expect("the folder is there").flatten().map(|one| one.path()).collect();
    paths.sort();
    paths.into_iter().find_map(|path| {
        let written = fs::read_to_string(&path).expect("a scenario is text");
        bug.build_in();
        let with = catch_unwind(|| play(&written));
        Bug::build_nothing_in();
        assert_eq!(play(&written).as_ref(), Ok(&written), "{}", path.display());
        let same = matches!(with, Ok(Ok(played)) if played == written);
        (!same).then(|| path.file_stem().expect("a file has a name").to_string_lossy().into_owned())
    })
}
