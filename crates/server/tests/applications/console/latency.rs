//! How long messages take between instances.

use super::*;

#[tokio::test]
async fn how_long_messages_take_to_other_instances_is_in_the_figures_and_in_the_last_hour() {
    const ONE_WAY: Duration = Duration::from_millis(30);
    /// The bound above what a message takes to Redis and back.
    const AT_LEAST_MS: f64 = 100.0;
    let redis = RedisServer::start().await.unwrap();
    let link = SlowLink::to(redis.port()).await.unwrap();
    let (jwt, admin) = (format!("--Jwt:Key={JWT_KEY}"), format!("--Admin:ApiKey={ADMIN_KEY}"));
    let way = link.connection_string();
    let args = [&*jwt, &*admin, "--redis", &*way];
    let (one, two) = tokio::join!(started(None, "one", &args), started(None, "two", &args));
    link.delay(ONE_WAY);
    let (mut ada, mut bob) = (Client::chat(port(&one), "ada").await, Client::chat(port(&two), "bob").await);
    for client in [&mut ada, &mut bob] {
        client.call("JoinRoom", json!(["kitchen"])).await.unwrap();
    }
    let mut console = Client::console(port(&two), ADMIN_KEY).await;
    console.watch_until("both", |snapshot| instances(snapshot) == [("one", "up"), ("two", "up")]).await;
    ada.call("SendToRoom", json!(["kitchen", "tea"])).await.unwrap();
    bob.message_with(|message| message["target"] == "ReceiveRoomMessage").await;

    let is_slow = |ms: &Value| ms.as_f64().is_some_and(|ms| ms >= AT_LEAST_MS);
    let snapshot = console
        .watch_until("how long it took", |snapshot| {
            let figures = [&snapshot["instances"][0]["figures"], &snapshot["total"]];
            figures.iter().all(|figures| {
                is_slow(&figures["deliveries"]["p50Ms"]) && is_slow(&figures["deliveries"]["p99Ms"])
            })
        })
        .await;
    assert_eq!(snapshot["total"]["deliveries"]["buckets"], Value::Null, "what it is made from is not shown");
    let in_history = async {
        loop {
            let history = console.call("History", json!([60])).await.unwrap();
            let fields = history["fields"].as_array().unwrap();
            let place = |name: &str| fields.iter().position(|field| field == name).unwrap();
            let (p50, p99) = (place("deliveriesP50Ms"), place("deliveriesP99Ms"));
            let instances = history["instances"].as_array().unwrap();
            let points = instances.iter().find(|instance| instance["name"] == "one").unwrap()["points"]
                .as_array()
                .unwrap();
            if points.iter().any(|point| is_slow(&point[p50]) && is_slow(&point[p99])) {
                break;
            }
            sleep(Duration::from_millis(300)).await;
        }
    };
    timeout(PATIENCE, in_history).await.expect("a point of the last hour has it");
}
