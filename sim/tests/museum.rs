//! Every piece of the museum is caught. `HIGHWATER_MUSEUM_SEEDS` sets how many seeds each gets, `HIGHWATER_MUSEUM` takes
//! only the pieces whose name contains it.

use std::{fs, panic::catch_unwind, path::Path, sync::Mutex};

use highwater_sim::{
    cluster::museum::{Bug, COVERED, PIECES},
    coordinator,
    hunt::Caught,
    scenario::play,
    simulation::Outcome,
};

/// A bug is built in for the whole process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What the environment asks for, and what came of it.
struct Campaign {
    most: u64,
    wanted: String,
    escaped: Vec<&'static str>,
    findings: Vec<(&'static str, Outcome)>,
}

impl Campaign {
    fn begin() -> Campaign {
        let most = std::env::var("HIGHWATER_MUSEUM_SEEDS").ok().and_then(|text| text.parse().ok());
        let wanted = std::env::var("HIGHWATER_MUSEUM").unwrap_or_default();
        println!("| Bug | Caught by | Seeds | Simulated hours |");
        println!("|---|---|---:|---:|");
        Campaign { most: most.unwrap_or(400), wanted, escaped: Vec::new(), findings: Vec::new() }
    }

    fn hunt(&mut self, name: &'static str, hunt: impl FnOnce(u64) -> Caught) {
        if !name.contains(&self.wanted) {
            return;
        }
        let caught = hunt(self.most);
        let by = caught.by.and_then(|outcome| outcome.violation).map(|violation| violation.invariant);
        self.findings.extend(caught.findings.into_iter().map(|outcome| (name, outcome)));
        let hours = caught.simulated.as_secs_f64() / 3600.0;
        println!("| {name} | {} | {} | {hours:.2} |", by.unwrap_or("nothing"), caught.seeds);
        if by.is_none() {
            self.escaped.push(name);
        }
    }

    fn end(self) {
        let failed =
            |(name, outcome): &(&'static str, Outcome)| (*name, outcome.seed, outcome.violation.clone());
        let findings: Vec<_> = self.findings.iter().map(failed).collect();
        assert!(findings.is_empty(), "these fail without any bug: {findings:?}");
        assert!(self.escaped.is_empty(), "these escaped: {:?}", self.escaped);
    }
}

#[test]
fn every_piece_of_coordinators_is_caught() {
    let _alone = ONE_AT_A_TIME.lock();
    let mut campaign = Campaign::begin();
    for piece in coordinator::museum::PIECES {
        campaign.hunt(piece.name, |most| piece.hunt(most));
    }
    campaign.end();
}

#[test]
fn every_piece_is_caught() {
    let _alone = ONE_AT_A_TIME.lock();
    let mut campaign = Campaign::begin();
    for piece in PIECES {
        campaign.hunt(piece.name, |most| piece.hunt(most));
    }
    for (name, bug) in COVERED.iter().filter(|(name, _)| name.contains(&campaign.wanted)) {
        match scenario_that_changes(*bug) {
            Some(scenario) => println!("| {name} | scenario {scenario} | - | - |"),
            None => campaign.escaped.push(name),
        }
    }
    campaign.end();
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
