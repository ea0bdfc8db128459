use axum::RequestPartsExt;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Object, Problem};

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

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body has to be JSON, with Content-Type: application/json",
            ));
        }
        let body = Bytes::from_request(request, state).await.map_err(unread)?;
        match read(&body) {
            Ok(value) => Ok(Self(value)),
            Err(problem) => {
                with_whole_numbers(&body).and_then(|body| read(&body).ok()).map(Self).ok_or(problem)
            }
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
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

/// The body with `5` for each `5.0`, which is an integer to JSON Schema, and to clients that know one kind of number; `None` if it has none.
fn with_whole_numbers(body: &[u8]) -> Option<Vec<u8>> {
    let mut value = serde_json::from_slice(body).ok()?;
    make_whole(&mut value).then(|| serde_json::to_vec(&value).ok())?
}

fn make_whole(value: &mut Value) -> bool {
    match value {
        Value::Array(values) => {
            values.iter_mut().fold(false, |is_changed, value| make_whole(value) | is_changed)
        }
        Value::Object(values) => {
            values.values_mut().fold(false, |is_changed, value| make_whole(value) | is_changed)
        }
        Value::Number(number) if number.is_f64() => {
            let text =
                number.as_f64().filter(|float| float.fract() == 0.0).map(|float| format!("{float:.0}"));
            let whole = text.and_then(|text| text.parse::<i64>().ok());
            whole.map(|whole| *number = whole.into()).is_some()
        }
        _ => false,
    }
}

fn unread(rejection: BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than this route takes")
        }
        status => Problem::new(status, "the body ended before it was whole"),
    }
}

/// A body that is not what it should be.
fn misfit(path: &str, error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    match (error.is_data(), named(path, &text)) {
        (true, Some(field)) => Problem::field(&field, text),
        (true, None) => Problem::new(StatusCode::BAD_REQUEST, format!("the body: {text}")),
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
    async fn a_whole_number_may_have_a_point() {
        let read = |body: &'static str| {
            let request = Request::post("/").header(CONTENT_TYPE, "application/json").body(Body::from(body));
            Json::<Part>::from_request(request.unwrap(), &())
        };
        for (body, priority) in
            [(r#"{"priority":7}"#, 7), (r#"{"priority":7.0}"#, 7), (r#"{"priority":0.7e1}"#, 7)]
        {
            assert_eq!(read(body).await.unwrap().0._priority, priority, "{body}");
        }
        for body in
            [r#"{"priority":7.5}"#, r#"{"priority":1e300}"#, r#"{"priority":-1.0}"#, r#"{"priority":"7"}"#]
        {
            assert!(read(body).await.is_err(), "{body}");
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
