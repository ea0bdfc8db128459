//! Errors that can be serialized too, where nothing says that the `Result` is no value.

use hubline::Hub;

async fn fails_with_a_text() -> Result<u32, String> {
    Err("no".to_owned())
}

#[derive(Debug, serde::Serialize)]
struct Failure;

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("failure")
    }
}

impl std::error::Error for Failure {}

async fn fails_with_what_can_be_serialized() -> Result<u32, Failure> {
    Err(Failure)
}

fn main() {
    _ = Hub::new("Test").method("FailsWithAText", fails_with_a_text);
    _ = Hub::new("Test").method("Fails", fails_with_what_can_be_serialized);
}
