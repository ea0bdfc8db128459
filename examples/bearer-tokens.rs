//! Who may connect, who may call what, and how are messages sent to a person?
//!
//! Everybody who connects is signed in; one method is for doctors alone; messages go to users, on whatever
//! connections they have.
//!
//!     cargo run -p hubline --example bearer-tokens
//!     curl 'http://localhost:5000/token?user=ada&role=Doctor'
//!
//! A client gives its token as `withUrl(url, { accessTokenFactory: () => token })`.

use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use hubline::auth::{BearerAuthentication, BearerOptions, VerificationKey};
use hubline::{Caller, Clients, Hub, HubError, Policy, Server, UserId};
use jsonwebtoken::{EncodingKey, Header};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// An example's key; keep yours out of the source. With `RemoteKeys` it comes from an identity provider.
const SECRET: &[u8] = b"an example's secret of 32 bytes or more";
const AUDIENCE: &str = "clinic";
const LIFETIME: Duration = Duration::from_secs(3600);

async fn send_message(clients: Clients, caller: Caller, to: UserId, text: String) -> Result<(), HubError> {
    clients.user(&to).send("ReceiveMessage", (caller.user_id(), text)).await?;
    Ok(())
}

/// Nobody but doctors gets here.
async fn prescribe(caller: Caller, medicine: String) -> String {
    let doctor = caller.user_id().map(ToString::to_string).unwrap_or_default();
    format!("{medicine}, signed {doctor}")
}

fn clinic() -> Hub {
    Hub::new("Clinic")
        .authorize(Policy::authenticated())
        .method("SendMessage", send_message)
        .method("Prescribe", prescribe)
        .authorize_method("Prescribe", Policy::authenticated().role("Doctor"))
        // The user's id is the token's `sub`, unless the hub decides otherwise:
        .user_id(|info| info.principal.as_ref()?.name_identifier.clone())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let key = VerificationKey::secret(SECRET)?;
    let bearer = BearerAuthentication::new(BearerOptions::default().key(key).audience(AUDIENCE))?;

    let server = Server::new();
    let app = Router::new()
        .merge(server.add_hub(clinic()).map("/clinic"))
        .layer(bearer)
        .merge(Router::new().route("/token", get(token)).with_state(EncodingKey::from_secret(SECRET)));

    let listener = TcpListener::bind("localhost:5000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

#[derive(Deserialize)]
struct SignIn {
    user: String,
    role: Option<String>,
}

#[derive(Serialize)]
struct Claims {
    sub: String,
    role: Option<String>,
    aud: &'static str,
    exp: u64,
}

/// Stands for the application's sign-in, and believes everybody.
async fn token(State(key): State<EncodingKey>, Query(sign_in): Query<SignIn>) -> Result<String, StatusCode> {
    let now = SystemTime::UNIX_EPOCH.elapsed().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let claims =
        Claims { sub: sign_in.user, role: sign_in.role, aud: AUDIENCE, exp: (now + LIFETIME).as_secs() };
    jsonwebtoken::encode(&Header::default(), &claims, &key).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
