//! What a Markdown document links to, and what can be linked to in it, as GitHub shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use pulldown_cmark::{BrokenLink, Event, LinkType, Options, Parser, Tag, TagEnd};

/// A link or an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// As it is written, with the fragment; empty where a reference has no definition.
    pub(crate) destination: String,
    /// Where the link stands in the text, its words included.
    pub(crate) place: Range<usize>,
}

#[derive(Debug, Default)]
pub(crate) struct Markdown {
    pub(crate) links: Vec<Link>,
    /// Of headings, by GitHub's rule, and ids in HTML.
    pub(crate) anchors: BTreeSet<String>,
}

impl Markdown {
    pub(crate) fn read(text: &str) -> Self {
        let mut found = Self::default();
        let mut undefined = Vec::new();
        // Words in brackets that are no link are ordinary text; `[words][name]` is meant as one.
        let mut note = |broken: BrokenLink<'_>| {
            if broken.link_type == LinkType::Reference {
                undefined.push(Link { destination: String::new(), place: broken.span });
            }
            None
        };
        let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES | Options::ENABLE_TASKLISTS;
        let parser = Parser::new_with_broken_link_callback(text, options, Some(&mut note)).into_offset_iter();
        let (mut heading, mut taken) = (None::<String>, BTreeMap::new());
        for (event, place) in parser {
            match event {
                Event::Start(Tag::Link { dest_url, link_type, .. }) if link_type != LinkType::Email => {
                    found.links.push(Link { destination: dest_url.into_string(), place });
                }
                Event::Start(Tag::Image { dest_url, .. }) => {
                    found.links.push(Link { destination: dest_url.into_string(), place });
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let words = heading.take().unwrap_or_default();
                    found.anchors.insert(unique(anchor(&words), &mut taken));
                }
                Event::Text(words) | Event::Code(words) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&words);
                    }
                }
                Event::Html(html) | Event::InlineHtml(html) => found.anchors.extend(ids(&html)),
                _ => {}
            }
        }
        found.links.extend(undefined);
        found
    }
}

/// The anchor of a heading: lower case, without punctuation, with a hyphen for each space.
fn anchor(heading: &str) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter(kept)
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

/// The second heading with the same words has `-1` behind its anchor, and so on.
fn unique(anchor: String, taken: &mut BTreeMap<String, u32>) -> String {
    let before = taken.entry(anchor.clone()).or_insert(0);
    *before += 1;
    match *before {
        1 => anchor,
        more => format!("{anchor}-{}", more - 1),
    }
}

fn ids(html: &str) -> impl Iterator<Item = String> {
    let values = ["id=\"", "name=\""].into_iter().flat_map(|attribute| html.split(attribute).skip(1));
    values.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_those_of_github() {
        let text = "# The `hubline` program\n## A.B: 50 %, and C++\n## Same\n## Same\n### [Linked](x.md) words\n\
                    ## snake_case - Größe\n```sh\n# no heading\n```\n<a id=\"own\"></a>\n";
        let expected = [
            "the-hubline-program",
            "ab-50--and-c",
            "same",
            "same-1",
            "linked-words",
            "snake_case---größe",
            "own",
        ];
        assert_eq!(Markdown::read(text).anchors, expected.map(str::to_owned).into());
    }

    #[test]
    fn links_are_found_where_they_are_links() {
        let text = "[a](a.md#b) ![i](i.png) <http://localhost:5000> `[no](no.md)` [words][name] [x] [y][undefined] <me@example.org>\n\n\
                    | [cell](cell.md) |\n| --- |\n\n    [code](code.md)\n\n[name]: named.md\n";
        let links = Markdown::read(text).links;
        let destinations: Vec<_> = links.iter().map(|link| link.destination.as_str()).collect();
        assert_eq!(destinations, ["a.md#b", "i.png", "http://localhost:5000", "named.md", "cell.md", ""]);
        assert_eq!(&text[links[0].place.clone()], "[a](a.md#b)");
    }
}
