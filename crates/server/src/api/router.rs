use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use super::Problem;
use super::body::usual_body_limit;
use super::problem::PROBLEM_JSON;

/// Completes an API of paths below `prefix`, without a slash at its end: whatever fails there is a [`Problem`], unknown paths too, and bodies
/// have a bound.
pub(crate) fn with_problems<S: Clone + Send + Sync + 'static>(api: Router<S>, prefix: &str) -> Router<S> {
    api.route(prefix, any(unknown))
        .route(&format!("{prefix}/"), any(unknown))
        .route(&format!("{prefix}/{{*rest}}"), any(unknown))
        // Not around the fallback, which would be everybody's once the router is merged.
        .route_layer(usual_body_limit())
        .route_layer(from_fn(as_problem))
}

async fn unknown(request: Request) -> Problem {
    let path: String = request.uri().path().chars().take(200).collect();
    Problem::new(StatusCode::NOT_FOUND, format!("nothing is at {path}; /openapi/v1.json has all there is"))
}

/// Makes problems of the errors that say nothing for programs.
async fn as_problem(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let response = next.run(request).await;
    let status = response.status();
    let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == PROBLEM_JSON);
    if is_problem || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let detail = match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            let allowed =
                response.headers().get(ALLOW).and_then(|allow| allow.to_str().ok()).unwrap_or("none");
            format!("{method} is not served here; there are {allowed}")
        }
        StatusCode::PAYLOAD_TOO_LARGE => "the body is larger than this route takes".to_owned(),
        status => status.canonical_reason().unwrap_or("the request failed").to_owned(),
    };
    let (parts, _) = response.into_parts();
    let mut problem = Problem::new(status, detail).into_response();
    for (name, value) in &parts.headers {
        // What describes the body that is left out would be wrong.
        if !problem.headers().contains_key(name) && !name.as_str().starts_with("content-") {
            problem.headers_mut().append(name, value.clone());
        }
    }
    problem
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::extract::Request;
    use axum::routing::{get, put};
    use tower::ServiceExt;

    use super::*;

    async fn ask(method: &str, path: &str) -> (u16, Option<String>, serde_json::Value) {
        let api = Router::new()
            .route("/api/things", get(async || "things").post(async |_: axum::body::Bytes| "made"))
            .route("/api/things/{id}", put(async || (StatusCode::IM_A_TEAPOT, "a tea pot's own words")));
        let request = Request::builder().method(method).uri(path).body(Body::from(vec![b' '; 65_537]));
        let response = with_problems::<()>(api, "/api").oneshot(request.unwrap()).await.unwrap();
        let allow = response.headers().get(ALLOW).map(|allow| allow.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_JSON, "{method} {path}");
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, allow, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn what_is_elsewhere_is_left_alone() {
        let app = with_problems::<()>(Router::new().route("/api/things", get(async || "things")), "/api");
        let app = Router::new().route("/health", get(async || "fine")).merge(app);
        for (path, status) in [("/health", 200), ("/elsewhere", 404)] {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            let kind = response.headers().get(CONTENT_TYPE);
            assert_eq!(response.status(), status);
            assert!(kind.is_none_or(|kind| kind != PROBLEM_JSON), "{path}: {kind:?}");
        }
    }

    #[tokio::test]
    async fn whatever_fails_is_a_problem() {
        for (method, path, status) in [
            ("GET", "/api", 404),
            ("GET", "/api/", 404),
            ("POST", "/api/nothing/here", 404),
            ("DELETE", "/api/things", 405),
            ("POST", "/api/things", 413),
            ("PUT", "/api/things/7", 418),
        ] {
            let (answered, allow, problem) = ask(method, path).await;
            assert_eq!((answered, &problem["status"]), (status, &status.into()), "{method} {path}");
            assert_eq!(allow.is_some(), status == 405, "{method} {path}: {allow:?}");
            if let Some(allow) = allow {
                assert_eq!(allow, "GET,HEAD,POST");
                assert!(problem["detail"].as_str().unwrap().contains("DELETE is not served"), "{problem}");
            }
        }
    }
}
