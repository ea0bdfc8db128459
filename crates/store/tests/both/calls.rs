//! The history of calls.

use hubline_store::calls::{self, CallFilter, CallOutcome, CallRecord};
use hubline_store::clinic::audit::{self, AuditFilter};
use hubline_store::{Connection, StoreError, Timestamp};

use crate::each;

fn begun(number: i64, caller: &str, recipient: &str) -> CallRecord {
    CallRecord {
        id: format!("call-{number:04}"),
        caller: caller.to_owned(),
        recipient: recipient.to_owned(),
        started: Timestamp(number * 10_000_000),
        accepted: None,
        ended: None,
        outcome: CallOutcome::Begun,
        reason: None,
    }
}

async fn ids(
    db: &mut Connection,
    user: &str,
    filter: CallFilter,
    limit: u32,
) -> Result<Vec<String>, StoreError> {
    Ok(calls::of_user(db, user, &filter, limit).await?.into_iter().map(|call| call.id).collect())
}

#[tokio::test]
async fn a_call_is_written_once_when_it_begins_and_once_when_it_is_over() {
    each(async |store| {
        let recorded = store.write(|db| {
            Box::pin(async move {
                let begun = begun(1, "ada", "bob\0");
                let over = CallRecord {
                    accepted: Some(Timestamp(20_000_000)),
                    ended: Some(Timestamp(55_000_000)),
                    outcome: CallOutcome::Completed,
                    reason: Some("\0".repeat(300)),
                    ..begun.clone()
                };
                assert!(calls::record(db, &begun).await?);
                assert!(!calls::record(db, &begun).await?, "nothing new");
                assert!(calls::record(db, &over).await?);
                assert!(
                    !calls::record(db, &CallRecord { outcome: CallOutcome::Missed, ..over.clone() }).await?
                );
                assert!(!calls::record(db, &begun).await?, "the end stays");
                let found = calls::of_user(db, "bob\u{fffd}", &CallFilter::default(), 10).await?;
                let entries = audit::list(db, &AuditFilter::default(), 10).await?;
                assert_eq!(entries.len(), 2);
                assert_eq!((&*entries[1].action, &*entries[0].action), ("call.started", "call.ended"));
                assert_eq!((&*entries[0].actor, &*entries[0].subject), ("user:ada", "user:bob\u{fffd}"));
                assert_eq!(entries[0].details.as_deref(), Some("call call-0001: completed after 3 s"));
                Ok::<_, StoreError>((found, over))
            })
        });
        let (found, over) = recorded.await.unwrap();
        let expected =
            CallRecord { recipient: "bob\u{fffd}".to_owned(), reason: Some("\u{fffd}".repeat(200)), ..over };
        assert_eq!(found, [expected]);
    })
    .await;
}

#[tokio::test]
async fn a_user_reads_own_calls_in_pages_and_is_forgotten() {
    each(async |store| {
        let work = store.write(|db| {
            Box::pin(async move {
                for (number, [caller, recipient]) in
                    [["ada", "bob"], ["cy", "ada"], ["bob", "cy"], ["ada", "bob"]].into_iter().enumerate()
                {
                    let number = i64::try_from(number).unwrap();
                    let missed = CallOutcome::Missed;
                    let record = begun(number, caller, recipient);
                    calls::record(
                        db,
                        &CallRecord {
                            ended: Some(record.started),
                            outcome: missed,
                            reason: Some("x".into()),
                            ..record
                        },
                    )
                    .await?;
                }
                assert_eq!(ids(db, "ada", CallFilter::default(), 2).await?, ["call-0003", "call-0001"]);
                let next = CallFilter { before: Some("call-0001".to_owned()), ..CallFilter::default() };
                assert_eq!(ids(db, "ada", next, 2).await?, ["call-0000"]);
                let with = CallFilter { with: Some("bob".to_owned()), ..CallFilter::default() };
                assert_eq!(ids(db, "ada", with, 9).await?, ["call-0003", "call-0000"]);
                assert_eq!(ids(db, "eve", CallFilter::default(), 9).await?, [""; 0]);

                assert_eq!(calls::pseudonymize(db, "ada", "erased-1", 2).await?, 2);
                assert_eq!(calls::pseudonymize(db, "ada", "erased-1", 2).await?, 1);
                assert_eq!(ids(db, "ada", CallFilter::default(), 9).await?, [""; 0]);
                let theirs = calls::of_user(db, "erased-1", &CallFilter::default(), 9).await?;
                assert!(theirs.len() == 3 && theirs.iter().all(|call| call.reason.is_none()));

                assert_eq!(calls::delete_before(db, Timestamp(20_000_000), 1).await?, 1);
                assert_eq!(calls::delete_before(db, Timestamp(20_000_000), 9).await?, 1);
                assert_eq!(ids(db, "cy", CallFilter::default(), 9).await?, ["call-0002"]);
                Ok::<_, StoreError>(())
            })
        });
        work.await.unwrap();
    })
    .await;
}
