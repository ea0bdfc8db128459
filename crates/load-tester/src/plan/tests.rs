use clap::{CommandFactory, Parser};

use super::*;

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    load: LoadArgs,
}

fn plan(arguments: &[&str]) -> anyhow::Result<Plan> {
    Plan::new(&Command::try_parse_from(["load"].iter().chain(arguments))?.load, 7)
}

fn refused(arguments: &[&str]) -> String {
    format!("{:#}", plan(arguments).map(|_| ()).unwrap_err())
}

const HUB: &str = "http://localhost:5000/chathub";
const STATES: &str = "http://host/hubs/navigation-state";

#[test]
fn the_users_call_is_a_plan() {
    let plan =
        plan(&["--url", STATES, "--connections", "1000", "--duration", "300", "--interval", "100"]).unwrap();
    let call = plan.roles[0].call.as_ref().unwrap();
    assert_eq!(call.method, "RequestCurrentState");
    assert_eq!(call.pace, Pace::Interval(Duration::from_millis(100)));
    assert_eq!((plan.steps.as_slice(), plan.duration), (&[1000][..], Duration::from_secs(300)));
    assert_eq!(plan.roles[0].proof, Proof::Navigation);
    let said = plan.announcement(Memory::of(&plan));
    assert!(said.iter().any(|line| line.contains("10,000 calls a second")), "{said:?}");
}

#[test]
fn without_a_method_connections_only_listen_and_that_is_said() {
    let plan = plan(&["--url", HUB]).unwrap();
    assert!(plan.roles[0].call.is_none());
    assert!(plan.notes[0].contains("only listen"), "{:?}", plan.notes);
    assert!(refused(&["--url", HUB, "--interval", "100"]).contains("needs --method"));
}

#[test]
fn bad_input_says_what_would_be_right() {
    for (arguments, told) in [
        (&[][..], "--url http://localhost:5000/chathub"),
        (&["--url", "localhost/hub"], "http://localhost:5000/chathub"),
        (&["--url", "ftp://h/hub"], "begins with http://"),
        (&["--url", HUB, "--ramp", "10,5"], "10,100,1000"),
        (&["--url", HUB, "--ramp", "a"], "10,100,1000"),
        (&["--url", HUB, "--connections", "0"], "from 1 to"),
        (&["--url", HUB, "--duration", "0"], "from 0.1"),
        (&["--url", HUB, "--connect-rate", "0"], "more than 0"),
        (&["--url", HUB, "--drop", "5"], "5%/s"),
        (&["--url", HUB, "--pause-time", "3"], "needs --pause-readers"),
        (&["--url", HUB, "--storm=0.5"], "--storm alone"),
        (&["--url", HUB, "--method", "M", "--args", "7"], "'[7]'"),
        (&["--url", HUB, "--method", "M", "--interval", "0"], "milliseconds"),
        (&["--url", HUB, "--method", "M", "--interval", "5", "--think-time", "5"], "use one of them"),
        (&["--url", HUB, "--method", "M", "--think-time", "5", "--no-answer"], "--no-answer out"),
        (&["--url", HUB, "--method", "M", "--size", "100"], "{stamp}"),
        (&["--url", HUB, "--method", "M", "--args", "[\"{stamp}\"]", "--size", "5"], "from 64 bytes"),
        (&["--url", HUB, "--method", "M", "--args", "[\"{stamp}\"]", "--audience", "all"], "--event"),
        (&["--url", HUB, "--method", "M", "--event", "E", "--audience", "all"], "put {stamp}"),
        (
            &[
                "--url",
                HUB,
                "--method",
                "M",
                "--args",
                "[\"{stamp}\"]",
                "--event",
                "E",
                "--audience",
                "group",
            ],
            "--join",
        ),
        (&["--url", HUB, "--token", "a", "--jwt-key", "b"], "not from several"),
        (&["--url", HUB, "--jwt-key", "b", "--jwt-claims", "7"], "user-{n}"),
        (&["--url", HUB, "--stateful", "--skip-negotiation"], "need WebSockets and a negotiation"),
        (&["--scenario", "/nowhere.toml"], "cannot be read"),
        (&["--url", HUB, "--fail-on", "x>1"], "x"),
    ] {
        let refused = refused(arguments);
        assert!(refused.contains(told), "{arguments:?}: {refused}");
    }
}

#[test]
fn roles_take_turns_from_the_first_connection_on() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let scenario = r#"
        [run]
        ramp = [4, 100]
        drop = "5%/s"
        [all]
        url = ["http://localhost:1/hub", "http://localhost:2/hub"]
        interval = 50
        transport = "ws"
        [[role]]
        name = "listener"
        share = 3
        [[role]]
        name = "writer"
        method = "Broadcast"
        args = ["{stamp}", "{#n}"]
        event = "OnBroadcast"
        transport = "lp"
        headers = { X-Tenant = "7" }
    "#;
    // A role without a method may not have an interval of its own.
    std::fs::write(&file, scenario.replace("interval = 50\n", "")).unwrap();
    let path = file.path().to_str().unwrap();
    let plan = plan(&["--scenario", path, "--ramp", "8,80"]).unwrap();
    assert_eq!(plan.steps, [8, 80], "the command line goes over the file");
    let writers = plan.members[..8].iter().filter(|role| **role == 1).count();
    assert_eq!(writers, 2);
    assert_eq!(plan.members.iter().filter(|role| **role == 1).count(), 20);
    let writer = &plan.roles[1];
    assert_eq!(writer.proof, Proof::Stamps(Audience::All));
    assert_eq!(writer.options().headers, [("X-Tenant".to_owned(), "7".to_owned())]);
    assert_eq!(writer.options().transport, crate::client::TransportChoice::LongPolling);
    assert_eq!(
        plan.roles[0].options().transport,
        crate::client::TransportChoice::WebSockets,
        "[all] says so"
    );
    let over = ["--scenario", path, "--transport", "sse", "--ramp", "8"];
    let over = super::tests::plan(&over).unwrap();
    assert_eq!(over.roles[0].options().transport, crate::client::TransportChoice::ServerSentEvents);
    assert_eq!(
        over.roles[1].options().transport,
        crate::client::TransportChoice::LongPolling,
        "the role's own"
    );
    assert_eq!((writer.url(0).port(), writer.url(1).port(), writer.url(2).port()), (1, 2, 1));
    assert_eq!(Memory::of(&plan).pairs, 80 * 20);
}

#[test]
fn memory_is_known_beforehand_and_refused() {
    let many = plan(&[
        "--url",
        HUB,
        "--method",
        "M",
        "--args",
        "[\"{stamp}\"]",
        "--event",
        "E",
        "--connections",
        "20000",
    ])
    .unwrap();
    let memory = Memory::of(&many);
    assert_eq!(memory.pairs, 400_000_000);
    let refused = memory.refusal(Some(Bytes(1 << 30)), 1).unwrap();
    assert!(refused.contains("--senders") && refused.contains("400000000 pairs"), "{refused}");
    let few = plan(&[
        "--url",
        HUB,
        "--method",
        "M",
        "--args",
        "[\"{stamp}\"]",
        "--event",
        "E",
        "--connections",
        "10000",
        "--senders",
        "10",
    ])
    .unwrap();
    assert_eq!(Memory::of(&few).refusal(Some(Bytes(250 << 20)), 1), None);
}

#[test]
fn the_help_fits_a_terminal() {
    let help = Command::command().term_width(80).render_long_help().to_string();
    let longest = help.lines().max_by_key(|line| line.chars().count()).unwrap();
    assert!(longest.chars().count() <= 80, "{longest}");
}
