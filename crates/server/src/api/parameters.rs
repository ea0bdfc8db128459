use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr};

use super::Problem;

/// Longest part of a name that is said again.
const SHOWN: usize = 100;

/// The parameters of the query that operations have, by path and method.
type Known = HashMap<String, HashMap<Method, BTreeSet<String>>>;

/// Refuses requests with parameters in their query that the description of the operation does not have: who misspells one would take the
/// answer for what was asked.
pub(crate) fn with_known_parameters<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    description: &OpenApi,
) -> Router<S> {
    let known = Arc::new(known(description));
    routes.route_layer(from_fn(move |request: Request, next: Next| {
        let unknown = unknown(&known, &request);
        async move {
            match unknown {
                Some(problem) => problem.into_response(),
                None => next.run(request).await,
            }
        }
    }))
}

fn known(description: &OpenApi) -> Known {
    let parameters = |operation: &Operation| {
        let parameters = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        });
        let of_query = parameters.filter(|parameter| parameter.parameter_in == ParameterIn::Query);
        of_query.map(|parameter| parameter.name.clone()).collect::<BTreeSet<_>>()
    };
    let paths = description.paths.paths.iter().map(|(path, item)| {
        let operations = [
            (Method::GET, &item.get),
            (Method::HEAD, &item.get),
            (Method::PUT, &item.put),
            (Method::POST, &item.post),
            (Method::DELETE, &item.delete),
            (Method::PATCH, &item.patch),
        ];
        let described = operations
            .into_iter()
            .filter_map(|(method, operation)| Some((method, parameters(operation.as_ref()?))));
        (path.clone(), described.collect())
    });
    paths.collect()
}

/// What is wrong with the query, if something is. What is not described is served by no handler, which says so.
fn unknown(known: &Known, request: &Request) -> Option<Problem> {
    let query = request.uri().query().filter(|query| !query.is_empty())?;
    let fitting = known.iter().filter(|(path, _)| fits(path, request.uri().path()));
    // As routes do, one without a parameter goes before one that has some.
    let (_, methods) = fitting.min_by_key(|(path, _)| path.matches('{').count())?;
    let described = methods.get(request.method())?;
    let mut names = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
    let name = names.find(|name| !described.contains(&**name))?;
    let shown: String =
        name.chars().take(SHOWN).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    let there_are = match described.is_empty() {
        true => "this takes no parameters".to_owned(),
        false => format!("there are {}", described.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
    };
    Some(Problem::field(&shown, format!("unknown parameter; {there_are}")))
}

/// Whether a path has the shape of a described one, whose parameters stand for a segment each.
fn fits(described: &str, path: &str) -> bool {
    let (mut described, mut path) = (described.split('/'), path.split('/'));
    loop {
        match (described.next(), path.next()) {
            (None, None) => return true,
            (Some(segment), Some(asked)) if segment == asked || segment.starts_with('{') => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use serde::Deserialize;
    use tower::ServiceExt;
    use utoipa::IntoParams;
    use utoipa_axum::router::OpenApiRouter;
    use utoipa_axum::routes;

    use super::*;

    #[derive(Deserialize, IntoParams)]
    #[into_params(parameter_in = Query)]
    struct Filter {
        #[serde(rename = "userId")]
        #[param(rename = "userId")]
        _user: Option<String>,
    }

    #[utoipa::path(get, path = "/things", params(Filter))]
    async fn things() -> &'static str {
        "things"
    }

    #[utoipa::path(get, path = "/things/{id}", params(("id" = String, Path)))]
    async fn thing() -> &'static str {
        "a thing"
    }

    #[tokio::test]
    async fn what_is_not_described_is_refused_by_its_name() {
        let (routes, description) =
            OpenApiRouter::<()>::new().routes(routes!(things)).routes(routes!(thing)).split_for_parts();
        let routes = with_known_parameters(routes, &description);
        for (target, name) in [
            ("/things", None),
            ("/things?", None),
            ("/things?userId=ada", None),
            ("/things?userId=ada&userID=bob", Some("userID")),
            ("/things/1", None),
            ("/things/1?userId=ada", Some("userId")),
            ("/things/1?%0aa=1", Some("\u{fffd}a")),
            ("/things/1?=1", Some("")),
        ] {
            let request = Request::get(target).body(Body::empty()).unwrap();
            let response = routes.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status().as_u16(), if name.is_some() { 400 } else { 200 }, "{target}");
            let body = to_bytes(response.into_body(), 10_000).await.unwrap();
            if let Some(name) = name {
                let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let errors: Vec<_> = problem["errors"].as_object().unwrap().keys().collect();
                assert_eq!(errors, [name], "{problem}");
            }
        }
    }
}
