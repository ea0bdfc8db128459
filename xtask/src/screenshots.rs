//! `cargo xtask screenshots`: pictures of every page for the documents, by `tests/javascript/views`.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use hubline_testkit::Node;

use crate::build::ServerOption;
use crate::node;
use crate::process::root;
use crate::transcript::Transcript;

/// Pictures of every page, light and dark, wide and narrow, in docs/images: needs Chromium, redis-server and Node
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Views of tests/javascript/views/table.mjs [default: all of them]
    views: Vec<String>,
    #[command(flatten)]
    server: ServerOption,
    /// Where to put them
    #[arg(long, default_value_os_t = images())]
    directory: PathBuf,
}

fn images() -> PathBuf {
    root().join("docs/images")
}

/// # Errors
/// The program does not build, a page does not get into its state, or a picture is too large.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut transcript = Transcript::on_standard_error();
    let server = options.server.program()?;
    if !root().join("tests/javascript/node_modules/playwright-core").is_dir() {
        node::install(&mut transcript)?;
    }
    let status = Node::script(root().join("tests/javascript/views/screenshots.mjs"))
        .args([std::path::absolute(&options.directory)?])
        .args(&options.views)
        .env("HUBLINE_SERVER", server)
        .run(|line| transcript.line(line))?;
    ensure!(status.success(), "views/screenshots.mjs ended with {status}");
    Ok(())
}
