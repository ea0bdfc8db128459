use std::convert::Infallible;

use tower::{ServiceExt, service_fn};

use super::*;

/// Sends a request through the layer to a service that answers 200 and "inner".
async fn answer(allowed: AllowedOrigins, method: &str, headers: &[(&str, &str)]) -> Response<String> {
    answer_of(&CrossOrigin::new(allowed), method, headers).await
}

async fn answer_of(layer: &CrossOrigin, method: &str, headers: &[(&str, &str)]) -> Response<String> {
    let inner = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new("inner".to_owned())) });
    let mut request = Request::builder().method(method).uri("/hub");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    layer.layer(inner).oneshot(request.body(()).unwrap()).await.unwrap()
}

fn list() -> AllowedOrigins {
    AllowedOrigins::List(vec!["http://example.org".parse().unwrap(), "null".parse().unwrap()])
}

fn cors(response: &Response<String>) -> Vec<(String, String)> {
    let headers =
        response.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()));
    headers.collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const GRANTED: [(&str, &str); 3] = [
    ("access-control-allow-origin", "http://example.org"),
    ("access-control-allow-credentials", "true"),
    ("vary", "Origin"),
];

/// The recorded cases negotiate/cors-simple and transports/ws-foreign-origin.
#[tokio::test]
async fn an_allowed_origin_is_echoed() {
    for allowed in [AllowedOrigins::Any, list()] {
        for method in ["POST", "GET", "OPTIONS"] {
            let response = answer(allowed.clone(), method, &[("origin", "http://example.org")]).await;
            assert_eq!(response.body(), "inner");
            assert_eq!(cors(&response), pairs(&GRANTED), "{method}");
        }
    }
    let web_socket = [("origin", "http://example.org"), ("upgrade", "websocket")];
    assert_eq!(cors(&answer(list(), "GET", &web_socket).await), pairs(&GRANTED));
    let file = answer(list(), "POST", &[("origin", "null")]).await;
    assert_eq!(file.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "null");
}

/// The recorded case negotiate/cors-preflight.
#[tokio::test]
async fn a_preflight_is_granted_what_it_asks_for() {
    let asked = [
        ("origin", "http://example.org"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "x-requested-with,x-signalr-user-agent"),
    ];
    let response = answer(list(), "OPTIONS", &asked).await;
    assert_eq!((response.status(), response.body().as_str()), (StatusCode::NO_CONTENT, ""));
    let granted = [
        ("access-control-allow-methods", "POST"),
        ("access-control-allow-headers", "x-requested-with,x-signalr-user-agent"),
    ];
    assert_eq!(cors(&response), pairs(&[&GRANTED[..], &granted].concat()));

    let response = answer(list(), "OPTIONS", &asked[..2]).await;
    assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_HEADERS));
}

#[tokio::test]
async fn a_foreign_page_learns_nothing_and_opens_no_web_socket() {
    let foreign = ("origin", "http://evil.example");
    let simple = answer(list(), "POST", &[foreign]).await;
    assert_eq!((simple.body().as_str(), cors(&simple)), ("inner", Vec::new()));
    let preflight = answer(list(), "OPTIONS", &[foreign, ("access-control-request-method", "POST")]).await;
    assert_eq!((preflight.status(), cors(&preflight)), (StatusCode::NO_CONTENT, Vec::new()));
    for upgrade in ["websocket", "WebSocket", "h2c, websocket"] {
        for origin in ["http://evil.example", "garbage", "http://example.org.evil", "https://example.org"] {
            let refused = answer(list(), "GET", &[("origin", origin), ("upgrade", upgrade)]).await;
            assert_eq!((refused.status(), refused.body().as_str()), (StatusCode::FORBIDDEN, ""), "{origin}");
        }
    }
    assert_eq!(answer(list(), "CONNECT", &[foreign]).await.status(), StatusCode::FORBIDDEN);
    let twice = [("origin", "http://example.org"), foreign, ("upgrade", "websocket")];
    assert_eq!(answer(list(), "GET", &twice).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn own_pages_and_other_programs_pass() {
    let upgrade = ("upgrade", "websocket");
    for headers in [
        &[upgrade][..],
        &[upgrade, ("origin", "")],
        &[upgrade, ("origin", "https://chat.example.org"), ("host", "chat.example.org")],
        &[upgrade, ("origin", "https://chat.example.org:8443"), ("host", "chat.example.org")],
        &[upgrade, ("origin", "http://chat.example.org"), ("host", "chat.example.org:5000")],
    ] {
        let response = answer(list(), "GET", headers).await;
        assert_eq!((response.body().as_str(), cors(&response)), ("inner", Vec::new()), "{headers:?}");
    }
    let page = ("origin", "https://chat.example.org");
    for elsewhere in [
        &[upgrade, page, ("host", "other.example.org")][..],
        &[upgrade, page, ("host", "chat.example.org"), ("host", "other.example.org")],
        &[upgrade, ("origin", "https://chat.example.org:8443"), ("host", "chat.example.org:443")],
    ] {
        assert_eq!(answer(list(), "GET", elsewhere).await.status(), StatusCode::FORBIDDEN, "{elsewhere:?}");
    }
}

#[tokio::test]
async fn whatever_is_refused_is_counted() {
    let layer = CrossOrigin::new(list());
    let foreign = ("origin", "http://evil.example");
    answer_of(&layer, "GET", &[("origin", "http://example.org"), ("upgrade", "websocket")]).await;
    answer_of(&layer, "GET", &[("upgrade", "websocket")]).await;
    assert_eq!(layer.refused(), 0);
    answer_of(&layer, "GET", &[foreign, ("upgrade", "websocket")]).await;
    answer_of(&layer, "OPTIONS", &[foreign, ("access-control-request-method", "POST")]).await;
    answer_of(&layer, "POST", &[foreign]).await;
    assert_eq!(layer.refused(), 3);
}
