//! Calls that their client may cancel.

use std::fmt;
use std::time::Duration;

use hubline::{Caller, Cancellation, Hub, HubError, Upload};
use tokio::time::sleep;

use crate::conformance_hub::{log, name_of};

pub(crate) fn add(hub: Hub) -> Hub {
    hub.method("Patient", patient)
        .method("PatientAnyway", patient_anyway)
        .method("PatientThrows", patient_throws)
        .method("PatientSum", patient_sum)
}

/// What is reported where the reference server throws an exception of that name.
#[derive(Debug)]
struct OperationCanceledException;

impl fmt::Display for OperationCanceledException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("The operation was canceled.")
    }
}

impl std::error::Error for OperationCanceledException {}

async fn patient(cancellation: Cancellation, caller: Caller, milliseconds: u64) -> Result<String, HubError> {
    let slept = cancellation.run_until_cancelled(sleep(Duration::from_millis(milliseconds))).await;
    if slept.is_err() {
        log(format!("patient {} cancelled", name_of(&caller)));
    }
    slept?;
    Ok(format!("slept {milliseconds}"))
}

async fn patient_anyway(cancellation: Cancellation, milliseconds: u64) -> String {
    match cancellation.run_until_cancelled(sleep(Duration::from_millis(milliseconds))).await {
        Ok(()) => format!("slept {milliseconds}"),
        Err(_) => "cancelled, but answering".to_owned(),
    }
}

async fn patient_throws(cancellation: Cancellation, milliseconds: u64) -> Result<(), HubError> {
    let slept = cancellation.run_until_cancelled(sleep(Duration::from_millis(milliseconds))).await;
    slept.map_err(|_| HubError::new("gave up"))
}

async fn patient_sum(cancellation: Cancellation, mut numbers: Upload<i32>) -> Result<i32, HubError> {
    let mut sum = 0i32;
    loop {
        let next = cancellation.run_until_cancelled(numbers.next()).await;
        match next.map_err(|_| OperationCanceledException)? {
            Some(number) => sum = sum.wrapping_add(number?),
            None => return Ok(sum),
        }
    }
}
