use super::*;
use crate::backplane::channels::Channels;

struct Fixture {
    subscriptions: Subscriptions,
    hub: Arc<Hub>,
}

impl Fixture {
    fn new() -> Self {
        let (hub, _) = Hub::new(Channels::new("", "Hub", String::new()));
        Self { subscriptions: Subscriptions::default(), hub }
    }

    fn linked() -> Self {
        let fixture = Self::new();
        fixture.subscriptions.link_opened();
        fixture
    }

    fn add(&self, channel: &str) -> Option<oneshot::Receiver<()>> {
        self.add_route(
            channel,
            Addressee::Connections(Target::Subject(hubline_backplane::Subject::Group("g".into()))),
        )
    }

    fn add_route(&self, channel: &str, to: Addressee) -> Option<oneshot::Receiver<()>> {
        self.subscriptions.count_up(channel, Route::Hub { hub: Arc::clone(&self.hub), to })
    }

    /// `SUBSCRIBE a UNSUBSCRIBE b`
    fn commands(&self) -> String {
        let mut out = Vec::new();
        self.subscriptions.take_commands(&mut out, usize::MAX);
        let text = String::from_utf8(out).unwrap();
        let words = text.split("\r\n").filter(|line| !line.is_empty() && !line.starts_with(['*', '$']));
        words.collect::<Vec<_>>().join(" ")
    }

    fn brings_back(&self, channel: &str) -> bool {
        self.subscriptions.brings_back(channel)
    }

    fn confirm(&self, channel: &str) {
        self.subscriptions.heard(Reply::Subscribed(channel));
    }
}

fn is_ready(waiting: &mut oneshot::Receiver<()>) -> bool {
    !matches!(waiting.try_recv(), Err(oneshot::error::TryRecvError::Empty))
}

#[test]
fn interest_is_counted() {
    let fixture = Fixture::linked();
    let mut waiting = [fixture.add("a"), fixture.add("a")].map(Option::unwrap);
    assert_eq!(fixture.commands(), "SUBSCRIBE a");
    assert!(!waiting.iter_mut().any(is_ready));
    fixture.confirm("a");
    assert!(waiting.iter_mut().all(is_ready));
    assert!(fixture.add("a").is_none(), "confirmed already");
    for _ in 0..2 {
        fixture.subscriptions.remove("a");
        assert_eq!(fixture.commands(), "");
    }
    assert!(fixture.subscriptions.route("a").is_some());
    fixture.subscriptions.remove("a");
    assert!(fixture.subscriptions.route("a").is_none());
    assert_eq!(fixture.commands(), "UNSUBSCRIBE a");
    assert!(fixture.subscriptions.lock().channels.is_empty());
}

#[test]
fn coming_and_going_costs_one_command() {
    let fixture = Fixture::linked();
    for _ in 0..1000 {
        let _ = fixture.add("a");
        fixture.subscriptions.remove("a");
    }
    assert_eq!(fixture.subscriptions.lock().marked.len(), 1);
    assert_eq!(fixture.commands(), "");
    assert!(fixture.subscriptions.lock().channels.is_empty());
}

#[test]
fn only_the_last_subscribe_confirms() {
    let fixture = Fixture::linked();
    let _ = fixture.add("a");
    assert_eq!(fixture.commands(), "SUBSCRIBE a");
    fixture.subscriptions.remove("a");
    assert_eq!(fixture.commands(), "UNSUBSCRIBE a");
    let mut waiting = fixture.add("a").unwrap();
    assert_eq!(fixture.commands(), "SUBSCRIBE a");
    fixture.confirm("a");
    assert!(!is_ready(&mut waiting));
    fixture.confirm("a");
    assert!(is_ready(&mut waiting));
}

#[test]
fn a_new_link_hears_of_everything_the_hubs_channels_last() {
    let fixture = Fixture::new();
    assert!(fixture.add("g").is_none(), "nobody waits without a link");
    let _ = fixture.add("left");
    fixture.subscriptions.remove("left");
    for (channel, to) in [
        ("return", Addressee::Answers),
        ("ack", Addressee::Acks),
        ("groups", Addressee::GroupCommands),
        ("all", Addressee::Connections(Target::All)),
    ] {
        assert!(fixture.add_route(channel, to).is_none());
    }
    for _ in 0..2 {
        fixture.subscriptions.link_opened();
        assert!(!fixture.brings_back("all"));
        let all = "SUBSCRIBE g SUBSCRIBE all SUBSCRIBE groups SUBSCRIBE ack SUBSCRIBE return";
        assert_eq!(fixture.commands(), all);
        for channel in ["g", "all", "groups", "ack", "return"] {
            assert_ne!(fixture.subscriptions.lock().to_restore, 0);
            fixture.confirm(channel);
            assert_eq!(fixture.brings_back("all"), channel != "g");
        }
        assert_eq!(fixture.subscriptions.lock().to_restore, 0);
        fixture.subscriptions.link_lost();
        assert!(!fixture.brings_back("all") && fixture.brings_back("elsewhere"));
    }
}

#[test]
fn whoever_leaves_while_the_link_comes_back_is_not_waited_for() {
    let fixture = Fixture::new();
    let _ = fixture.add("a");
    fixture.subscriptions.link_opened();
    fixture.subscriptions.remove("a");
    assert_eq!(fixture.commands(), "");
    assert_eq!(fixture.subscriptions.lock().to_restore, 0);

    let _ = fixture.add("b");
    fixture.subscriptions.link_lost();
    fixture.subscriptions.link_opened();
    assert_eq!(fixture.commands(), "SUBSCRIBE b");
    fixture.subscriptions.remove("b");
    assert_eq!(fixture.commands(), "UNSUBSCRIBE b");
    assert_eq!(fixture.subscriptions.lock().to_restore, 0);
}

#[test]
fn nobody_waits_for_a_lost_link() {
    let fixture = Fixture::linked();
    let mut waiting = fixture.add("a").unwrap();
    fixture.subscriptions.link_lost();
    assert!(is_ready(&mut waiting));
}

#[test]
fn nobody_waits_for_a_silent_link() {
    let fixture = Fixture::linked();
    let mut waiting = fixture.add("a").unwrap();
    fixture.subscriptions.let_go();
    assert!(is_ready(&mut waiting));
    assert!(fixture.add("b").is_none());
    assert_eq!(fixture.commands(), "SUBSCRIBE a SUBSCRIBE b");
    fixture.confirm("a");
    assert!(fixture.add("b").is_some(), "it speaks again");
}
