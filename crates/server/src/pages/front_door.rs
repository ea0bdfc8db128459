//! What the page at `/` says of the instance: what it serves, and what is closed and how to open it.

use std::fmt::Write;

use super::{CALL, CHAT, CONSOLE, TEST, is_page};

/// What there is to say, once the configuration is known. Nobody learns more from it than by asking each path.
#[derive(Debug, Clone, Default)]
pub(crate) struct FrontDoor {
    pub(crate) environment: String,
    pub(crate) is_development: bool,
    /// Shown in Development alone.
    pub(crate) version: &'static str,
    /// Why console and test page are off, if they are.
    pub(crate) operators_are_shut_out: Option<String>,
    pub(crate) offers: Vec<Offer>,
}

/// Something that is served.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    /// The path, behind a method other than GET.
    pub(crate) path: String,
    pub(crate) purpose: &'static str,
    pub(crate) access: Access,
    /// Whether a browser can show it.
    pub(crate) is_document: bool,
}

/// Who may use it.
#[derive(Debug, Clone)]
pub(crate) enum Access {
    Everybody,
    /// Everybody, with a word of what closes it.
    Open(&'static str),
    /// Who brings this.
    Key(&'static str),
    /// Nobody here, and what opens it.
    Off(String),
}

impl Access {
    /// The class, the word and the sentence.
    fn shown(&self) -> (&'static str, &'static str, &str) {
        match self {
            Self::Everybody => ("open", "open", ""),
            Self::Open(note) => ("open", "open", note),
            Self::Key(note) => ("key", "with key", note),
            Self::Off(cure) => ("off", "off", cure),
        }
    }
}

impl FrontDoor {
    /// Puts it into the page.
    pub(super) fn fill(&self, page: &str) -> String {
        let version = match self.is_development {
            true => format!("<span class=\"fact\">Hubline {}</span>", self.version),
            false => String::new(),
        };
        let between = match self.operators_are_shut_out {
            Some(_) => String::new(),
            None => format!(" <a href=\"{TEST}\">The test page</a> does it between instances."),
        };
        page.replace("{between}", &between)
            .replace("{environment}", &escaped(&self.environment))
            .replace("{version}", &version)
            .replace("{summary}", &self.summary())
            .replace("{tiles}", &self.tiles())
            .replace("{offers}", &self.list())
    }

    fn summary(&self) -> String {
        let closed = self.offers.iter().filter(|offer| matches!(offer.access, Access::Off(_))).count();
        let environment = escaped(&self.environment);
        match (self.is_development, closed) {
            (true, _) => format!(
                "The environment is {environment}, where what helps to try things is open. Production is the default without \
                 <code>--dev</code>, and closes it; each line says how."
            ),
            (false, 0) => format!("The environment is {environment}, and all of it is served."),
            (false, closed) => {
                format!("The environment is {environment}. {closed} parts are off; each says what opens it.")
            }
        }
    }

    fn tiles(&self) -> String {
        let tiles = [
            (CHAT, "Chat", "Conversations, rooms and history, in as many tabs as you like"),
            (CALL, "Calls", "Two browsers see each other; instances ring, accept, return"),
            (CONSOLE, "Console", "The fleet at a glance, why a connection dropped, and acts"),
            (TEST, "Test page", "Several instances side by side: what arrives, how fast, what is missed"),
        ];
        let mut html = String::new();
        for (path, name, text) in tiles.into_iter().filter(|(path, ..)| is_page(path)) {
            let shut = self.operators_are_shut_out.as_ref().filter(|_| path.starts_with(CONSOLE));
            // Writing to a string cannot fail.
            _ = match shut {
                Some(cure) => write!(
                    html,
                    "<div class=\"tile\"><strong>{name} <span class=\"access off\">off</span></strong><span>{}</span></div>",
                    escaped(cure)
                ),
                None => write!(
                    html,
                    "<a class=\"tile\" href=\"{path}\"><strong>{name}</strong><span>{text}</span></a>"
                ),
            };
        }
        html
    }

    fn list(&self) -> String {
        let mut html = String::new();
        for Offer { path, purpose, access, is_document } in &self.offers {
            let (class, word, note) = access.shown();
            let (before, after) = match *is_document && class == "open" {
                true => (format!("<a href=\"{}\">", escaped(path)), "</a>"),
                false => (String::new(), ""),
            };
            let path = escaped(path);
            let note = match note {
                "" => String::new(),
                note => format!("<p class=\"how\">{}</p>", escaped(note)),
            };
            // Writing to a string cannot fail.
            _ = write!(
                html,
                "<li>{before}<code>{path}</code>{after}<span class=\"access {class}\">{word}</span>\
                 <div><p>{}</p>{note}</div></li>",
                escaped(purpose)
            );
        }
        html
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    // Browsers break lines between the hyphens.
    text.replace("--dev", "<code class=\"word\">--dev</code>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_closed_says_how_to_open_it_and_text_is_no_markup() {
        let offers = vec![
            Offer {
                path: "/health".to_owned(),
                purpose: "how it is",
                access: Access::Everybody,
                is_document: true,
            },
            Offer {
                path: "/a\"<b>".to_owned(),
                purpose: "x",
                access: Access::Off("set <Key>".to_owned()),
                is_document: true,
            },
        ];
        let front = FrontDoor {
            environment: "<Prod>".to_owned(),
            operators_are_shut_out: Some("no key".to_owned()),
            offers,
            version: "9.8.7",
            ..FrontDoor::default()
        };
        let html = front.fill("{environment}{version}{summary}{tiles}{offers}");
        assert!(html.contains("<a href=\"/health\"><code>/health</code></a>"), "{html}");
        assert!(html.contains("set &lt;Key&gt;") && html.contains("1 parts are off"), "{html}");
        assert!(!html.contains("<b>") && !html.contains("<Prod>") && !html.contains("9.8.7"), "{html}");
        assert!(!html.contains("href=\"/console") && html.contains("no key"), "{html}");
        let open = FrontDoor { is_development: true, operators_are_shut_out: None, ..front };
        let html = open.fill("{version}{tiles}");
        assert!(html.contains("9.8.7") && html.contains("href=\"/console/test\""), "{html}");
    }
}
