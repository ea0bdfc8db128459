//! Who may open the console.

use super::*;

#[tokio::test]
async fn without_a_key_it_is_open_in_development_and_off_elsewhere() {
    let (open, off, none) = tokio::join!(
        started(None, "open", &["--dev", "--Console:TimelineBytes=0"]),
        started(None, "off", &[]),
        started(None, "none", &["--dev", "--Console:Enabled=false"]),
    );
    let mut console = Client::connect(port(&open), CONSOLE, "").await;
    let signed_in = console.call("SignIn", json!([null])).await.unwrap();
    assert_eq!(
        (&signed_in["isOpen"], &signed_in["scope"], &signed_in["timeline"]),
        (&json!(true), &json!("full"), &json!(false))
    );
    assert_eq!(signed_in["environment"], "Development");
    let snapshot = console.watch_until("one", |snapshot| snapshot["total"]["connections"] == 1).await;
    assert_eq!((&snapshot["isAlone"], &snapshot["redis"]), (&json!(true), &Value::Null));
    // Who has not signed in is no user, and what `hubline check` connects to is no hub of theirs.
    let _nobody = Client::connect(port(&open), CHAT, "").await;
    let snapshot = console.watch_until("nobody", |snapshot| hub(&snapshot["total"], "ChatHub") == 1).await;
    assert_eq!((&snapshot["users"], &snapshot["addresses"][0]["connections"]), (&json!([]), &json!(1)));
    let hubs = snapshot["total"]["byHub"].as_array().unwrap().iter();
    let hubs: Vec<_> = hubs.map(|hub| hub["hub"].as_str().unwrap()).collect();
    assert_eq!(hubs, ["ChatHub", "VideoCallHub", "NavigationStateHub", "ConsoleHub"]);
    assert_eq!(snapshot["instances"][0]["figures"]["timeline"], Value::Null);
    assert_eq!(console.timeline("x").await.1["isOn"], false);

    let mut console = Client::connect(port(&off), CONSOLE, "").await;
    let error = console.call("SignIn", json!([null])).await.unwrap_err();
    assert_eq!(error, "The console is off, because no admin key is configured; Admin__ApiKey sets one.");
    assert!(page(port(&off), "/").await.contains("<strong>Console <span class=\"access off\">off</span>"));
    assert_eq!(Client::open(port(&none), CONSOLE, "").await.err(), Some(404));
}

#[tokio::test]
async fn a_key_in_the_database_alone_opens_console_and_test_page_and_the_first_page_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let database =
        format!("--ConnectionStrings:Database=Data Source={}", directory.path().join("a.db").display());
    let admin = format!("--Admin:ApiKey={ADMIN_KEY}");
    let both = [&*database, &*admin];
    let (with_key, without) = tokio::join!(started(None, "a", &both), started(None, "b", &both[..1]));
    let (front, closed) = (page(port(&without), "/").await, "<span class=\"access off\">off</span>");
    assert!(front.contains(closed) && !front.contains("class=\"tile\" href=\"/console/test\""), "{front}");
    let key = json!({ "name": "first", "scope": "read" });
    let (status, made) = ask(port(&with_key), "POST /api/admin/keys", ADMIN_KEY, &key).await;
    assert_eq!(status, 201, "{made}");
    // That there was none is good for a second.
    let opened = async {
        while page(port(&without), "/").await.contains(&format!("Console {closed}")) {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, opened).await.unwrap();
    assert!(page(port(&without), "/").await.contains("class=\"tile\" href=\"/console/test\""));
    assert!(page(port(&without), "/console/test").await.starts_with("HTTP/1.1 200"));
    let console = Client::console(port(&without), made["secret"].as_str().unwrap()).await;
    drop(console);
}
