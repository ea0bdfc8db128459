//! Who may call which method.

use std::sync::Arc;

use hubline_hub::{Caller, Hub};
use hubline_identity::{Policy, Principal};
use hubline_pipe::ConnectionInfo;

use crate::client::{Client, call, info, result, start};

fn hub() -> Hub {
    Hub::new("Test")
        .method("Me", async |caller: Caller| caller.user_id().cloned())
        .method("Treat", async || "treated")
        .authorize_method("me", Policy::authenticated())
        .authorize_method("Treat", Policy::authenticated().role("Doctor"))
}

fn signed_in(id: &str, role: &str) -> ConnectionInfo {
    let mut principal = Principal::of_user("ada");
    principal.roles.push(role.into());
    ConnectionInfo { principal: Some(Arc::new(principal)), ..info(id) }
}

fn refused(id: u32, method: &str) -> String {
    format!(
        r#"{{"type":3,"invocationId":"{id}","error":"Failed to invoke '{method}' because user is unauthorized"}}␞"#
    )
}

#[tokio::test]
async fn a_method_is_only_for_those_who_meet_its_policy() {
    let hub = start(hub());
    let mut doctor = Client::connect_as(&hub, signed_in("a", "Doctor")).await;
    doctor.send(&[call(1, "Me", ""), call(2, "Treat", "")].concat()).await;
    assert_eq!(doctor.next().await, result(1, "\"ada\""));
    assert_eq!(doctor.next().await, result(2, "\"treated\""));
    let mut nurse = Client::connect_as(&hub, signed_in("b", "Nurse")).await;
    nurse.send(&[call(1, "me", ""), call(2, "treat", "")].concat()).await;
    assert_eq!(nurse.next().await, result(1, "\"ada\""));
    assert_eq!(nurse.next().await, refused(2, "Treat"));
    let mut nobody = Client::connect(&hub, "c").await;
    nobody.send(&call(1, "Me", "")).await;
    assert_eq!(nobody.next().await, refused(1, "Me"));
}

#[test]
#[should_panic = "no method named `Nope`"]
fn a_policy_needs_its_method() {
    let _ = Hub::<()>::new("Test").authorize_method("Nope", Policy::authenticated());
}
