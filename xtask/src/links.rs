//! Checks the links of all Markdown of the repository: files, anchors and images are there. Addresses of other sites are not asked.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::markdown::Markdown;
use crate::process::root;
use crate::transcript::Transcript;

/// Where documentation is listed, for readers and for the site.
pub(crate) const INDEX: &str = "docs/README.md";

/// # Errors
/// A link goes nowhere, or a document of docs/ is not in [`INDEX`].
pub(crate) fn check(transcript: &mut Transcript) -> Result<()> {
    let (links, documents, problems) = judge(root())?;
    problems.iter().for_each(|problem| transcript.line(problem));
    ensure!(problems.is_empty(), "{} links are broken", problems.len());
    transcript.line(format!("{links} links in {documents} documents lead somewhere"));
    Ok(())
}

/// How many links in how many documents there are, and what is wrong with them.
fn judge(root: &Path) -> Result<(usize, usize, Vec<String>)> {
    let mut documents = BTreeMap::new();
    for file in markdown_files(root)? {
        let text = fs::read_to_string(root.join(&file)).with_context(|| file.display().to_string())?;
        documents.insert(file, (Markdown::read(&text), text));
    }
    let (mut links, mut problems) = (0, Vec::new());
    for (file, (document, text)) in &documents {
        for link in &document.links {
            links += 1;
            if let Err(problem) = follow(root, file, &link.destination, &documents) {
                let line = text[..link.place.start].matches('\n').count() + 1;
                problems.push(format!("{}:{line}: {problem}", file.display()));
            }
        }
    }
    problems.extend(unlisted(&documents));
    Ok((links, documents.len(), problems))
}

/// The path in the repository that a link of a document leads to; none where it leads to another site.
pub(crate) fn target(document: &Path, destination: &str) -> Option<PathBuf> {
    if destination.contains("://") || destination.starts_with("mailto:") {
        return None;
    }
    let path = destination.split_once('#').map_or(destination, |(path, _)| path);
    if path.is_empty() {
        return Some(document.to_owned());
    }
    let mut target = document.parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir if target.pop() => {}
            Component::CurDir => {}
            part => target.push(part),
        }
    }
    Some(target)
}

fn follow(
    root: &Path,
    document: &Path,
    destination: &str,
    documents: &BTreeMap<PathBuf, (Markdown, String)>,
) -> Result<(), String> {
    if destination.is_empty() {
        return Err("a link has no destination, or the definition of its reference is missing".to_owned());
    }
    let Some(target) = target(document, destination) else { return Ok(()) };
    if target.is_absolute() || target.starts_with("..") {
        return Err(format!("{destination} leaves the repository: write it relative to this document"));
    }
    if !root.join(&target).exists() {
        return Err(format!("there is no {}", target.display()));
    }
    let Some((_, anchor)) = destination.split_once('#') else { return Ok(()) };
    let is_there = match documents.get(&target) {
        Some((document, _)) => document.anchors.contains(anchor),
        // Of source GitHub knows lines.
        None => anchor
            .strip_prefix('L')
            .is_some_and(|line| line.starts_with(|digit: char| digit.is_ascii_digit())),
    };
    if is_there { Ok(()) } else { Err(format!("{} has no heading #{anchor}", target.display())) }
}

/// Documents of docs/ that nobody finds.
fn unlisted(documents: &BTreeMap<PathBuf, (Markdown, String)>) -> Vec<String> {
    let index = Path::new(INDEX);
    let Some((listed, _)) = documents.get(index) else { return vec![format!("there is no {INDEX}")] };
    let listed: Vec<_> = listed.links.iter().filter_map(|link| target(index, &link.destination)).collect();
    let in_docs = documents.keys().filter(|file| file.parent() == index.parent() && *file != index);
    in_docs
        .filter(|file| !listed.contains(file))
        .map(|file| format!("{INDEX}: {} is not listed", file.display()))
        .collect()
}

/// Relative to the root, without what is built or installed.
fn markdown_files(root: &Path) -> Result<Vec<PathBuf>> {
    let (mut directories, mut files) = (vec![root.to_owned()], Vec::new());
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if name.starts_with('.') || matches!(&*name, "target" | "node_modules") {
                continue;
            }
            if entry.file_type()?.is_dir() {
                directories.push(path);
            } else if name.ends_with(".md") {
                files.push(path.strip_prefix(root)?.to_owned());
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong in a repository with these documents.
    fn problems(readme: &str, listed: &str) -> Result<String> {
        let directory = tempfile::tempdir()?;
        fs::create_dir_all(directory.path().join("docs/node_modules"))?;
        for (file, text) in [
            ("README.md", readme),
            ("docs/README.md", listed),
            ("docs/chat.md", "# Chat\n## What it does\n[up](../README.md)\n"),
            ("docs/node_modules/x.md", "[installed](nowhere.md)"),
            ("picture.png", ""),
        ] {
            fs::write(directory.path().join(file), text)?;
        }
        Ok(judge(directory.path())?.2.join("; "))
    }

    #[test]
    fn the_repository_has_no_broken_link() -> Result<()> {
        check(&mut Transcript::on_standard_output())
    }

    #[test]
    fn a_link_has_to_lead_somewhere() -> Result<()> {
        let listed = "[chat](chat.md)";
        let good = "# Top\n[a](docs/chat.md) [b](docs/chat.md#what-it-does) [c](#top) [d](docs) ![e](picture.png) [f](./docs/../README.md) \
                    [g](https://example.org/x#y) [h](picture.png#L3) [i](mailto:a@example.org)";
        assert_eq!(problems(good, listed)?, "");
        for (link, told) in [
            ("[a](docs/call.md)", "README.md:2: there is no docs/call.md"),
            ("[a](docs/Chat.md)", "there is no docs/Chat.md"),
            ("[a](docs/chat.md#what)", "docs/chat.md has no heading #what"),
            ("[a](#What)", "README.md has no heading #What"),
            ("![a](docs/picture.png)", "there is no docs/picture.png"),
            ("[a](/docs/chat.md)", "leaves the repository"),
            ("[a](../other/x.md)", "leaves the repository"),
            ("[a][missing]", "the definition of its reference is missing"),
            ("[a](picture.png#x)", "has no heading #x"),
        ] {
            let problems = problems(&format!("\n{link}"), listed)?;
            assert!(problems.contains(told), "{link}: {problems}");
        }
        assert_eq!(problems("", "nothing")?, "docs/README.md: docs/chat.md is not listed");
        Ok(())
    }
}
