use super::*;

#[test]
fn latencies_of_a_fleet_are_those_of_all_its_messages() {
    let of = |buckets: Vec<u64>| Figures {
        calls: Calls::new(buckets.clone(), 10.0),
        deliveries: Deliveries::new(buckets),
        ..Figures::default()
    };
    let mut buckets = vec![0; Latencies::BOUNDS.len() + 1];
    let idle = of(buckets.clone());
    buckets[1] = 90;
    let fast = of(buckets.clone());
    buckets[8] = 10;
    let mut fleet = Figures::default();
    for figures in [&idle, &fast, &of(buckets), &of(vec![1_000; 13])] {
        fleet.add(figures);
    }
    assert_eq!((fast.deliveries.p99_ms, idle.deliveries.p99_ms), (Some(0.5), None));
    assert_eq!((fleet.deliveries.p50_ms, fleet.deliveries.p99_ms), (Some(0.5), Some(100.0)));
    assert_eq!((fleet.calls.p50_ms, fleet.calls.p99_ms), (Some(0.5), Some(100.0)));
    assert_eq!(
        fleet.shown().deliveries,
        Deliveries { p50_ms: Some(0.5), p99_ms: Some(100.0), buckets: vec![] }
    );
}

#[test]
fn quantiles_are_the_bounds_that_calls_did_not_exceed() {
    let mut buckets = vec![0; Latencies::BOUNDS.len() + 1];
    assert_eq!(quantile(&buckets, 0.5), None);
    (buckets[0], buckets[4]) = (98, 2);
    assert_eq!((quantile(&buckets, 0.5), quantile(&buckets, 0.99)), (Some(0.1), Some(5.0)));
    buckets[Latencies::BOUNDS.len()] = 1_000;
    assert_eq!(quantile(&buckets, 0.99), Some(60_000.0), "longer than all bounds");
}

#[tokio::test(start_paused = true)]
async fn rates_are_those_of_the_last_ten_seconds() {
    let readings = Readings::default();
    let reading = |messages_out| Reading { messages_out, ..Reading::default() };
    assert_eq!(readings.add(reading(100)).1, 0.0);
    let mut now = 100;
    for second in 1..=100 {
        tokio::time::advance(Duration::from_secs(1)).await;
        now += 7;
        let (before, seconds) = readings.add(reading(now));
        assert_eq!(rate(now - before.messages_out, seconds), 7.0, "after {second} s");
        assert!(seconds <= 10.0, "{seconds}");
    }
    tokio::time::advance(Duration::from_secs(3600)).await;
    let (before, seconds) = readings.add(reading(now + 3600));
    assert_eq!(rate(now + 3600 - before.messages_out, seconds), 1.0, "since it was read last");
    let mut span = 0.0;
    for _ in 0..300 {
        tokio::time::advance(Duration::from_millis(100)).await;
        span = readings.add(reading(now + 3600)).1;
    }
    assert!(span > 9.0, "{span}, however many ask");
}
