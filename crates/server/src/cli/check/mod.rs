//! `hubline check`: whether instances work, and work together.

mod arguments;
mod client;
mod configuration;
mod database;
mod http;
mod instances;
mod itself;
mod messages;
mod redis;
mod report;

use std::process::ExitCode;

pub(crate) use arguments::CheckArgs;

use self::http::Http;
use self::instances::Instance;
use self::redis::Listening;
use self::report::{Report, Style};
use crate::config::Config;
use crate::observe::Output;

/// What needs an admin key, in the order in which it is looked at.
const NEEDS_KEY: [&str; 5] = ["Versions", "Clocks", "Configuration", "Messages", "Channels"];

/// Looks at what the arguments name, and tells it on standard output.
pub(crate) async fn run(arguments: &CheckArgs, config: &Config, log: &Output) -> ExitCode {
    if arguments.itself {
        return itself::run(config).await;
    }
    let http = match Http::new(arguments.admin_key().as_deref()) {
        Ok(http) => http,
        Err(error) => {
            log.fail(&format!("{error:#}"));
            return ExitCode::FAILURE;
        }
    };
    let mut report = Report::new(Style::of_standard_output(arguments.json));
    let living = instances::health(&http, &arguments.urls, &mut report).await;
    let mut redis = redis::check(config, &mut report).await;
    database::check(config, arguments.database.is_some(), &mut report).await;
    let known = match living.is_empty() {
        true => Vec::new(),
        false => instances::about(&http, &living, &mut report).await,
    };
    if !known.is_empty() {
        together(&http, &known, redis.as_mut(), &mut report).await;
    }
    report.end(arguments.strict)
}

/// What an admin key opens.
async fn together(http: &Http, known: &[Instance], mut redis: Option<&mut Listening>, report: &mut Report) {
    instances::versions(known, report);
    instances::clocks(known, report);
    configuration::compare(known, report);
    if let Some(redis) = &mut redis {
        redis.compare_prefix(known, report);
    }
    messages::check(http, known, redis.as_deref(), report).await;
}
