//! From a text to a text: the steps stay, the answers are what the stage says now.

use highwater_records::BrokerId;

use super::stage::Stage;

/// Plays a scenario: its telling and its steps, each step followed by what came of it.
///
/// # Errors
/// The first line that is no step, or one that cannot be done.
pub fn play(scenario: &str) -> Result<String, String> {
    let mut stage = None;
    let mut played = String::new();
    for line in scenario.lines() {
        if let Some(step) = line.strip_prefix("> ") {
            let words: Vec<&str> = step.split_whitespace().collect();
            let answer = match (&mut stage, words.as_slice()) {
                (_, ["cluster", rest @ ..]) => {
                    let opened = stage.insert(Stage::open(rest).map_err(|why| format!("{line}: {why}"))?);
                    opened.partition_line()
                }
                (Some(stage), words) => stage.step(words).map_err(|why| format!("{line}: {why}"))?,
                (None, _) => return Err(format!("{line}: a scenario begins with a cluster")),
            };
            played += line;
            played.push('\n');
            for answered in answer.lines() {
                played += &format!("    {answered}\n");
            }
        } else if line.starts_with('#') || line.is_empty() {
            played += line;
            played.push('\n');
        } else if !line.starts_with("    ") {
            return Err(format!("{line}: neither a step nor an answer"));
        }
    }
    Ok(played)
}

/// A number among the words of a step.
pub(super) fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("`{word}` is no number"))
}

/// Brokers among the words of a step.
pub(super) fn brokers(words: &[&str]) -> Result<Vec<BrokerId>, String> {
    words.iter().map(|word| number(word).map(BrokerId)).collect()
}

/// Brokers for people.
pub(super) fn list(brokers: impl IntoIterator<Item = BrokerId>) -> String {
    let ids: Vec<String> = brokers.into_iter().map(|broker| broker.to_string()).collect();
    if ids.is_empty() { "nobody".to_owned() } else { ids.join(" ") }
}
