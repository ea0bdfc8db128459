use super::*;

/// A few seconds: the clean way, and with every kind of fault, over sockets and without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_does_wrong_is_found_at_its_place() {
    let options = SelfTestOptions { seed: Some(19), messages: 10_000, one_in: 50 };
    let report = self_test(&options, &mut |_| ()).await.unwrap();
    assert!(report.is_good(), "{report}");
    let [clean_alone, alone, clean, faulty] = &report.parts[..] else { panic!("{report}") };
    assert_eq!((clean_alone.messages, clean.messages), (100_100, 10_080), "{report}");
    for part in [clean_alone, clean] {
        assert!(part.kinds.iter().all(|kind| kind.planted + kind.found == 0), "{report}");
        assert!(part.verdict.starts_with("0 lost, 0 doubled, "), "{report}");
    }
    for part in [alone, faulty] {
        assert!(part.kinds.iter().all(|kind| kind.planted == kind.found && kind.found >= 3), "{report}");
    }
    assert!(report.to_string().ends_with("nothing else (seed 19)."), "{report}");
}

#[tokio::test]
async fn more_faults_than_the_oracle_remembers_are_refused() {
    let options = SelfTestOptions { seed: None, messages: 30_001, one_in: 10 };
    let error = self_test(&options, &mut |_| ()).await.unwrap_err().to_string();
    assert!(error.ends_with("--messages may be 30000 at most, or --one-in 11 at least"), "{error}");
}

/// The same seed plants the same, another one something else.
#[test]
fn faults_are_where_the_seed_puts_them() {
    let planted = |seed| alone::alone(seed, 50_000, 100, 1).0.planted;
    assert_eq!(planted(1), planted(1));
    assert_ne!(planted(1).lost, planted(2).lost);
}

/// A comparison that says equal must not be made so by what it compares.
#[test]
fn a_fault_that_is_not_found_is_named() {
    let (mut compared, _) = alone::alone(3, 20_000, 100, 1);
    assert!(compared.is_equal());
    let missed = compared.found.lost.pop().unwrap();
    assert!(!compared.is_equal());
    let part = Part::new("through the oracle alone", 100, &compared, None);
    let report = SelfTestReport { seed: 3, parts: vec![part] };
    assert!(!report.is_good());
    let text = report.to_string();
    let (receiver, origin, number) = missed;
    assert!(
        text.contains(&format!("differs: number {number} of origin {origin} at receiver {receiver}"))
            && text.contains("THE ORACLE IS WRONG"),
        "{text}"
    );
}
