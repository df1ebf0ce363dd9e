//! Tidiness as a test, so that nobody has to be asked for it in review.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// No source file is longer than this.
const LINES_MAX: usize = 600;

/// Files that are longer all the same, with the length they may not grow beyond. It is empty, and each line that
/// is added here needs a reason and a plan.
const TOO_LONG_ALREADY: &[(&str, usize)] = &[];

/// Names that say nothing about what is inside, so that everything ends up there.
const SHAPELESS: &[&str] = &["common", "util", "utils", "core", "types", "misc", "helpers"];

#[test]
fn no_source_file_is_too_long() {
    let mut wrong = Vec::new();
    for file in sources() {
        let lines = read(&file).lines().count();
        let name = shown(&file);
        let allowed =
            TOO_LONG_ALREADY.iter().find(|(known, _)| *known == name).map_or(LINES_MAX, |(_, lines)| *lines);
        if lines > allowed {
            wrong.push(format!("{name}: {lines} lines, {allowed} allowed"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn nothing_has_a_shapeless_name() {
    for file in sources() {
        let name = shown(&file);
        let parts = Path::new(&name).with_extension("");
        for part in parts.components() {
            let part = part.as_os_str().to_str().expect("file names are UTF-8");
            assert!(!SHAPELESS.contains(&part), "{name}: '{part}' does not say what is inside");
        }
    }
}

#[test]
fn nothing_is_left_unwritten_and_no_machine_is_named() {
    // In pieces, so that this file does not find itself.
    let refused = [
        concat!("to", "do!("),
        concat!("un", "implemented!("),
        concat!("FIX", "ME"),
        concat!("#[ig", "nore"),
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
        concat!("/Us", "ers/"),
    ];
    let mut wrong = Vec::new();
    for file in sources().into_iter().chain(pages()) {
        for (number, line) in read(&file).lines().enumerate() {
            for word in refused {
                if line.contains(word) {
                    wrong.push(format!("{}:{}: {word}", shown(&file), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn sources() -> Vec<PathBuf> {
    let found: Vec<PathBuf> = files().into_iter().filter(|file| is_source(file)).collect();
    assert!(found.len() > 10, "only {} source files found", found.len());
    found
}

fn pages() -> Vec<PathBuf> {
    files().into_iter().filter(|file| has_extension(file, &["md", "toml", "properties"])).collect()
}

fn is_source(file: &Path) -> bool {
    has_extension(file, &["rs", "py", "java", "sh"])
        || (file.extension().is_none() && fs::read(file).is_ok_and(|bytes| bytes.starts_with(b"#!")))
}

fn has_extension(file: &Path, extensions: &[&str]) -> bool {
    file.extension().and_then(|e| e.to_str()).is_some_and(|e| extensions.contains(&e))
}

fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the workspace can be read") {
            let path = entry.expect("an entry can be read").path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let hidden = name.starts_with('.') && name != ".ci" && name != ".config";
            let generated = ["target", "corpus", "artifacts", "__pycache__", "highwater"].contains(&name);
            if path.is_symlink() || hidden {
                continue;
            } else if !path.is_dir() {
                found.push(path);
            } else if !generated {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("tests/arrows lies two folders below the root")
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root())
        .expect("a file of the workspace")
        .to_str()
        .expect("file names are UTF-8")
        .to_owned()
}

fn read(file: &Path) -> String {
    String::from_utf8(fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display())))
        .unwrap_or_else(|_| panic!("{} is not UTF-8", file.display()))
}
