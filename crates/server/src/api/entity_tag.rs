use axum::extract::FromRequestParts;
use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::Problem;

/// Writes a row's version as the value of `ETag`.
pub(crate) fn entity_tag(version: i64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// `If-Match`: which versions a request is meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// Any, also where the header is missing.
    Any,
    /// These alone.
    Versions(Vec<i64>),
}

impl IfMatch {
    /// Whether the request is meant for a row of this version.
    pub(crate) fn matches(&self, version: i64) -> bool {
        match self {
            Self::Any => true,
            Self::Versions(versions) => versions.contains(&version),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let Some(tags) = tags(&parts.headers, &IF_MATCH)? else { return Ok(Self::Any) };
        // Compared strongly, as RFC 9110 wants it here: a weak tag is no row's.
        let versions = tags.iter().filter(|tag| !tag.is_weak).filter_map(|tag| tag.version).collect();
        Ok(if tags.iter().any(|tag| tag.is_any) { Self::Any } else { Self::Versions(versions) })
    }
}

/// `If-None-Match`: which versions the client has already.
#[derive(Debug, Clone, Default)]
pub(crate) struct IfNoneMatch(Vec<Tag>);

impl IfNoneMatch {
    /// Whether the client has this version.
    pub(crate) fn has(&self, version: i64) -> bool {
        self.0.iter().any(|tag| tag.is_any || tag.version == Some(version))
    }
}

impl<S: Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Ok(Self(tags(&parts.headers, &IF_NONE_MATCH)?.unwrap_or_default()))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Tag {
    is_any: bool,
    is_weak: bool,
    /// `None` for what is no tag of ours.
    version: Option<i64>,
}

/// The tags of a header; `None` if it is missing.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Vec<Tag>>, Problem> {
    let values: Vec<_> = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?")).collect();
    let texts = values.iter().flat_map(|value| value.split(',')).map(str::trim).filter(|tag| !tag.is_empty());
    let tags: Option<Vec<Tag>> = texts.map(parse).collect();
    match tags {
        _ if values.is_empty() => Ok(None),
        Some(tags) if !tags.is_empty() => Ok(Some(tags)),
        _ => Err(Problem::field(
            name.as_str(),
            "an entity tag in quotes, as ETag has it, such as \"3\", or * is needed",
        )),
    }
}

fn parse(text: &str) -> Option<Tag> {
    // Quotes are easily lost in a shell.
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Tag { is_any: false, is_weak: false, version: text.parse().ok() });
    }
    if text == "*" {
        return Some(Tag { is_any: true, is_weak: false, version: None });
    }
    let (is_weak, quoted) = match text.strip_prefix("W/") {
        Some(quoted) => (true, quoted),
        None => (false, text),
    };
    let version = quoted.strip_prefix('"')?.strip_suffix('"')?;
    Some(Tag { is_any: false, is_weak, version: version.parse().ok() })
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    async fn read(
        name: HeaderName,
        values: &[&str],
    ) -> (Result<IfMatch, Problem>, Result<IfNoneMatch, Problem>) {
        let request = values.iter().fold(Request::builder(), |request, value| request.header(&name, *value));
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        (
            IfMatch::from_request_parts(&mut parts, &()).await,
            IfNoneMatch::from_request_parts(&mut parts, &()).await,
        )
    }

    #[tokio::test]
    async fn tags_are_compared_as_rfc_9110_has_it() {
        for (values, matches, has) in [
            (&[][..], true, false),
            (&["\"7\""], true, true),
            (&["*"], true, true),
            (&["\"6\", \"7\""], true, true),
            (&["\"6\"", "\"7\""], true, true),
            (&["\"6\""], false, false),
            (&["W/\"7\""], false, true),
            (&["\"of another server\""], false, false),
            (&["7"], true, true),
        ] {
            assert_eq!(read(IF_MATCH, values).await.0.unwrap().matches(7), matches, "{values:?}");
            assert_eq!(read(IF_NONE_MATCH, values).await.1.unwrap().has(7), has, "{values:?}");
        }
        for wrong in ["", "seven", "\"7", "\"6\", W/7"] {
            assert_eq!(read(IF_MATCH, &[wrong]).await.0.unwrap_err().status(), 400, "{wrong}");
        }
        assert_eq!(entity_tag(7), "\"7\"");
    }
}
