use axum::RequestPartsExt;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Object, Problem, body};

/// A body of JSON, an object; as a result, JSON too. A request without a body of JSON, with one that is malformed or too large, or that does not fit
/// the type, is answered with a [`Problem`] that names the field.
#[derive(Debug, Clone)]
pub(crate) struct Json<T>(pub(crate) T);

/// The parameters of the query, read as [`Json`] reads a body: an unknown one is a mistake where the type says so.
#[derive(Debug, Clone)]
pub(crate) struct Query<T>(pub(crate) T);

/// The parameters of the path. One that does not fit its type finds nothing: 404.
#[derive(Debug, Clone)]
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body has to be JSON, with Content-Type: application/json",
            ));
        }
        read(&body::read(request).await?).map(Self)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        // PostgreSQL takes none, so nothing has one in it.
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        if let Some((name, _)) = pairs.find(|(name, value)| name.contains('\0') || value.contains('\0')) {
            return Err(Problem::field(&name.replace('\0', "\u{fffd}"), "no value has a NUL in it"));
        }
        let deserializer = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        let value = serde_path_to_error::deserialize(deserializer).map_err(|error| {
            let (path, text) = (error.path().to_string(), error.inner().to_string());
            Problem::field(&named(&path, &text).unwrap_or_else(|| "query".to_owned()), text)
        })?;
        Ok(Self(value))
    }
}

impl<T: DeserializeOwned + Send + 'static, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let path = parts.extract::<axum::extract::Path<T>>().await;
        path.map(|axum::extract::Path(value)| Self(value)).map_err(|rejection| {
            Problem::new(StatusCode::NOT_FOUND, format!("nothing is here: {}", rejection.body_text()))
        })
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Whether the body says it is JSON: `application/json`, `application/merge-patch+json` and the like.
fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let Object(value) = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        misfit(&path, error.inner())
    })?;
    deserializer.end().map_err(|error| misfit(".", &error))?;
    Ok(value)
}

/// A body that is not what it should be.
fn misfit(path: &str, error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    match (error.is_data(), named(path, &text)) {
        (true, Some(field)) => Problem::field(&field, text),
        (true, None) => Problem::new(StatusCode::BAD_REQUEST, format!("the body: {text}")),
        (false, _) if text.starts_with("recursion limit") => Problem::new(
            StatusCode::BAD_REQUEST,
            "the body: arrays and objects are nested deeper than 127 levels",
        ),
        (false, _) => Problem::new(StatusCode::BAD_REQUEST, format!("the body is no JSON: {text}")),
    }
}

/// The field that an error of serde is about: that of its path, or, where a whole object is at fault, the one that its text quotes.
fn named(path: &str, text: &str) -> Option<String> {
    let quoted = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|start| text.strip_prefix(start)?.split('`').next());
    match (path, quoted) {
        ("." | "", quoted) => quoted.map(str::to_owned),
        (path, None) => Some(path.to_owned()),
        (path, Some(quoted)) if path == quoted || path.ends_with(&format!(".{quoted}")) => {
            Some(path.to_owned())
        }
        (path, Some(quoted)) => Some(format!("{path}.{quoted}")),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Model {
        #[serde(rename = "virtualModelName")]
        _name: String,
        #[serde(default, rename = "parts")]
        _parts: Vec<Part>,
    }

    #[derive(Debug, Deserialize)]
    struct Part {
        #[serde(rename = "priority")]
        _priority: u8,
    }

    async fn refusal(content_type: &str, body: &str) -> (u16, serde_json::Value) {
        let request =
            Request::post("/").header(CONTENT_TYPE, content_type).body(Body::from(body.to_owned())).unwrap();
        let problem = Json::<Model>::from_request(request, &()).await.unwrap_err().into_response();
        let status = problem.status().as_u16();
        let body = to_bytes(problem.into_body(), 10_000).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn the_field_at_fault_is_named() {
        for (body, field) in [
            ("{}", "virtualModelName"),
            (r#"{"virtualModelName":1}"#, "virtualModelName"),
            (r#"{"virtualModelName":"a","virtualModelNam":"b"}"#, "virtualModelNam"),
            (r#"{"virtualModelName":"a","virtualModelName":"b"}"#, "virtualModelName"),
            (r#"{"virtualModelName":"a","parts":[{"priority":1},{"priority":"high"}]}"#, "parts[1].priority"),
            (r#"{"virtualModelName":"a","parts":[{}]}"#, "parts[0].priority"),
        ] {
            let (status, problem) = refusal("application/json", body).await;
            assert_eq!(status, 400, "{body}");
            let errors = problem["errors"].as_object().unwrap();
            assert_eq!(errors.keys().collect::<Vec<_>>(), [field], "{body}: {problem}");
            assert_eq!(problem["status"], 400);
        }
    }

    #[tokio::test]
    async fn what_is_no_json_says_so() {
        for body in [
            "",
            "{",
            "[\"a\"]",
            "null",
            "nonsense",
            r#"{"virtualModelName":"a"} {}"#,
            "\u{1}",
            r#"{"virtualModelName":"\ud800"}"#,
        ] {
            let (status, problem) = refusal("Application/JSON; charset=utf-8", body).await;
            assert!(
                status == 400 && problem["detail"].as_str().unwrap().contains("body"),
                "{body}: {problem}"
            );
        }
        for other in ["text/plain", "", "application/x-www-form-urlencoded", "application/jsonp"] {
            assert_eq!(refusal(other, "{}").await.0, 415, "{other}");
        }
    }
}
