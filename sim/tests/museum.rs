//! Every piece of the museum is caught. `HIGHWATER_MUSEUM_SEEDS` sets how many seeds each gets.

use highwater_sim::cluster::museum::PIECES;

#[test]
fn every_piece_is_caught() {
    let most = std::env::var("HIGHWATER_MUSEUM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let (mut escaped, mut findings) = (Vec::new(), Vec::new());
    println!("| Bug | Caught by | Seeds | Simulated hours |");
    println!("|---|---|---:|---:|");
    for piece in PIECES {
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
