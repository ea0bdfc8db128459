//! The documentation as a site: the documents that `docs/README.md` lists, by mdBook, in the order and under the headings there.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::links::{self, INDEX};
use crate::markdown::Markdown;
use crate::process::{self, cargo_in_background, root};

const MDBOOK: &str = "0.5.4";

/// The front page of the site, and the first line of its contents.
const FRONT: &str = "README.md";

const BOOK: &str = "\
[book]
title = \"Hubline\"
language = \"en\"
src = \"source\"

[build]
build-dir = \"html\"
# A README stays one, and braces of templates are text.
use-default-preprocessors = false

[output.html]
no-section-label = true
# As GitHub shows it: -- is no dash.
smart-punctuation = false

[output.html.print]
enable = false
";

/// Makes `target/site/html`.
///
/// # Errors
/// mdBook cannot be installed, a document links to Markdown that is not listed, or a file cannot be read or written.
pub(crate) fn build() -> Result<()> {
    let mdbook = installed()?;
    let site = root().join("target/site");
    if site.exists() {
        fs::remove_dir_all(&site)?;
    }
    let chapters = Chapters::read()?;
    let source = site.join("source");
    write(&source.join("SUMMARY.md"), &chapters.summary)?;
    write(&site.join("book.toml"), BOOK)?;
    for document in &chapters.documents {
        let text =
            fs::read_to_string(root().join(document)).with_context(|| document.display().to_string())?;
        write(&source.join(document), &with_files(document, &text, &chapters.documents, &source)?)?;
    }
    process::run(Command::new(mdbook).arg("build").arg(&site))?;
    println!("open {}", site.join("html/index.html").display());
    Ok(())
}

/// mdBook without what watches, serves and searches, in `target/`, so that it is built once.
fn installed() -> Result<PathBuf> {
    let place = root().join("target/mdbook");
    let program = place.join("bin/mdbook");
    let version = Command::new(&program).arg("--version").output();
    if version.is_ok_and(|output| output.stdout.trim_ascii() == format!("mdbook v{MDBOOK}").as_bytes()) {
        return Ok(program);
    }
    let mut cargo = cargo_in_background();
    // Without optimizations: these are a few dozen pages.
    cargo.args([
        "install",
        "mdbook",
        "--version",
        MDBOOK,
        "--no-default-features",
        "--locked",
        "--debug",
        "--force",
    ]);
    cargo.arg("--root").arg(&place).arg("--target-dir").arg(place.join("build"));
    process::run(&mut cargo)?;
    Ok(program)
}

/// What `docs/README.md` lists.
#[derive(Debug, Default)]
struct Chapters {
    /// In the form that mdBook reads.
    summary: String,
    documents: BTreeSet<PathBuf>,
}

impl Chapters {
    fn read() -> Result<Self> {
        let text = fs::read_to_string(root().join(INDEX)).context(INDEX)?;
        Ok(Self::of(&text))
    }

    fn of(index: &str) -> Self {
        let mut chapters = Self { summary: "# Summary\n".to_owned(), ..Self::default() };
        chapters.add("\n", "Hubline", FRONT.into());
        chapters.add("\n", "All guides", INDEX.into());
        for line in index.lines() {
            if let Some(heading) = line.strip_prefix("## ") {
                let _ = write!(chapters.summary, "\n\n# {heading}\n");
            }
            for link in Markdown::read(line).links {
                let words = line[link.place].trim_start_matches('[').split("](").next().unwrap_or_default();
                if let Some(document) = links::target(Path::new(INDEX), &link.destination) {
                    chapters.add("\n- ", words, document);
                }
            }
        }
        chapters.summary.push('\n');
        chapters
    }

    /// A document is one chapter, where it is named first.
    fn add(&mut self, before: &str, words: &str, document: PathBuf) {
        if document.extension().is_some_and(|extension| extension == "md")
            && !self.documents.contains(&document)
        {
            let _ = write!(self.summary, "{before}[{words}]({})", document.display());
            self.documents.insert(document);
        }
    }
}

/// The text of a document. The files that it links to are put beside it; of a directory there is a list of its files.
fn with_files(document: &Path, text: &str, chapters: &BTreeSet<PathBuf>, source: &Path) -> Result<String> {
    let mut result = text.to_owned();
    let mut links = Markdown::read(text).links;
    links.sort_by_key(|link| link.place.start);
    for link in links.iter().rev() {
        let Some(target) = links::target(document, &link.destination) else { continue };
        let file = root().join(&target);
        if chapters.contains(&target) {
            continue;
        }
        if file.is_dir() {
            let listed = list(&target, source)?;
            let written = format!("({})", link.destination);
            let to_list = format!("({}/{listed})", link.destination.trim_end_matches('/'));
            result.replace_range(link.place.clone(), &text[link.place.clone()].replace(&written, &to_list));
        } else if target.extension().is_some_and(|extension| extension == "md") {
            bail!("{} links to {}, which {INDEX} does not list", document.display(), target.display());
        } else {
            copy(&target, source)?;
        }
    }
    Ok(result)
}

/// Copies a directory, with a page that lists it; returns the name of the page.
fn list(directory: &Path, source: &Path) -> Result<&'static str> {
    let (mut directories, mut files) = (vec![directory.to_owned()], Vec::new());
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(root().join(&next))? {
            let entry = entry?;
            let path = next.join(entry.file_name());
            match entry.file_type()?.is_dir() {
                true if entry.file_name() != "node_modules" => directories.push(path),
                true => {}
                false => files.push(path),
            }
        }
    }
    files.sort();
    let mut page =
        format!("<!doctype html><meta charset=utf-8><title>{0}</title><h1>{0}</h1><ul>", directory.display());
    for file in &files {
        copy(file, source)?;
        let name = file.strip_prefix(directory)?.display();
        write!(page, "<li><a href=\"{name}\">{name}</a>")?;
    }
    write(&source.join(directory).join("index.html"), format!("{page}</ul>\n"))?;
    Ok("index.html")
}

fn copy(file: &Path, source: &Path) -> Result<()> {
    let content = fs::read(root().join(file)).with_context(|| file.display().to_string())?;
    write(&source.join(file), content)
}

fn write(file: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let directory = file.parent().context("a file without a directory")?;
    fs::create_dir_all(directory)?;
    fs::write(file, content).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contents_are_those_of_the_index() {
        let index = "# Docs\n## For users\n- [Start](../README.md)\n- [Chat](chat.md)\n\n## For operators\n\
                     - [Cases](../conformance/README.md), and [a file](../Cargo.toml)\n- [The `chat`](chat.md#top)\n";
        let Chapters { summary, documents } = Chapters::of(index);
        assert_eq!(
            summary,
            "# Summary\n\n[Hubline](README.md)\n[All guides](docs/README.md)\n\n# For users\n\n- [Chat](docs/chat.md)\n\n\
             # For operators\n\n- [Cases](conformance/README.md)\n"
        );
        assert_eq!(documents.len(), 4);
    }

    #[test]
    fn what_documents_link_to_comes_along() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let chapters = BTreeSet::from([PathBuf::from("README.md")]);
        let text = "[tests](../tests/guides/) [chapter](../README.md#x) [file](../Cargo.toml) [site](https://example.org)";
        let staged = with_files(Path::new("docs/x.md"), text, &chapters, directory.path())?;
        assert_eq!(staged, text.replace("tests/guides/", "tests/guides/index.html"));
        assert!(directory.path().join("Cargo.toml").exists());
        let list = fs::read_to_string(directory.path().join("tests/guides/index.html"))?;
        assert!(list.contains("href=\"parts/terminal.mjs\""), "{list}");
        assert!(directory.path().join("tests/guides/parts/terminal.mjs").exists());
        let unlisted = with_files(Path::new("docs/x.md"), "[x](../SECURITY.md)", &chapters, directory.path());
        assert!(
            unlisted.is_err_and(|error| error.to_string().contains("which docs/README.md does not list"))
        );
        Ok(())
    }
}
