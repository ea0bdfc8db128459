//! What a clinic answers for.

use std::time::Duration;

use futures_util::future::BoxFuture;
use hubline_store::clinic::audit::{self, AuditEntry, AuditFilter, MAXIMUM_PAGE, RecordedEntry};
use hubline_store::clinic::bans::{self, Ban, Banned};
use hubline_store::clinic::consultations::{self, Consultation, ConsultationFilter, Created};
use hubline_store::clinic::retention::{self, Kind};
use hubline_store::clinic::{Party, leases};
use hubline_store::{Connection, Store, StoreError, Timestamp};

use crate::each;

pub(crate) async fn write<T: Send + 'static>(
    store: &Store,
    work: impl for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static,
) -> T {
    store.write(work).await.unwrap()
}

pub(crate) async fn entries(store: &Store, filter: AuditFilter, limit: u32) -> Vec<RecordedEntry> {
    write(store, move |db| Box::pin(async move { audit::list(db, &filter, limit).await })).await
}

pub(crate) async fn record(store: &Store, entries: Vec<AuditEntry>) {
    write(store, move |db| Box::pin(async move { audit::record_all(db, &entries).await })).await;
}

pub(crate) fn entry(at: i64, actor: Party, action: &'static str, subject: Party) -> AuditEntry {
    AuditEntry { at: Timestamp(at), actor, action, subject, details: None }
}

#[tokio::test]
async fn the_audit_is_read_in_pages_by_who_what_and_when() {
    each(async |store| {
        let (ada, bob) = (Party::user("ada"), Party::user("bob"));
        let mut written = Vec::new();
        for at in 0..1200 {
            let actor = if at % 3 == 0 { &bob } else { &ada };
            written.push(entry(at, actor.clone(), "history.read", Party::room("r")));
        }
        written.push(entry(2000, Party::admin("ada"), "user.close", bob.clone()).details("for 60 s\0"));
        record(&store, written).await;
        let newest = entries(&store, AuditFilter::default(), 2).await;
        assert_eq!(newest[0].details.as_deref(), Some("for 60 s\u{fffd}"));
        assert_eq!((newest[0].actor.as_str(), newest[0].subject.as_str()), ("admin:ada", "user:bob"));
        assert_eq!((newest[1].at, newest[1].details.as_deref()), (Timestamp(1199), None));

        let mut filter = AuditFilter { party: Some(bob.clone()), ..AuditFilter::default() };
        let mut seen = Vec::new();
        loop {
            let page = entries(&store, filter.clone(), 150).await;
            let Some(last) = page.last() else { break };
            filter.before = Some(last.id.clone());
            seen.extend(page.iter().map(|entry| entry.at.0));
        }
        assert_eq!(
            seen,
            [2000].into_iter().chain((0..1200).rev().filter(|at| at % 3 == 0)).collect::<Vec<_>>()
        );

        let between = AuditFilter {
            actor: Some("user:ada".to_owned()),
            action: Some("history.read".to_owned()),
            from: Some(Timestamp(10)),
            to: Some(Timestamp(14)),
            ..AuditFilter::default()
        };
        let at: Vec<i64> = entries(&store, between, 9).await.iter().map(|entry| entry.at.0).collect();
        assert_eq!(at, [13, 11, 10]);
        let nobody = AuditFilter { subject: Some("user:b\0b".to_owned()), ..AuditFilter::default() };
        assert_eq!(entries(&store, nobody, 9).await, []);
        assert_eq!(entries(&store, AuditFilter::default(), u32::MAX).await.len(), MAXIMUM_PAGE as usize);

        let deleted = async |limit| {
            write(&store, move |db| Box::pin(audit::delete_before(db, Timestamp(1190), limit))).await
        };
        assert_eq!([deleted(1000).await, deleted(1000).await, deleted(1000).await], [1000, 190, 0]);
        assert_eq!(entries(&store, AuditFilter::default(), 100).await.len(), 11);
    })
    .await;
}

/// Whatever is not recorded is not done.
#[tokio::test]
async fn an_act_and_its_entry_are_one() {
    each(async |store| {
        let failed = store
            .write(|db| {
                Box::pin(async move {
                    audit::record(db, &AuditEntry::now(Party::admin("a"), "x.y", Party::server())).await?;
                    Err::<(), _>(StoreError::Unavailable("on purpose".to_owned()))
                })
            })
            .await;
        assert!(failed.is_err());
        assert_eq!(entries(&store, AuditFilter::default(), 9).await, []);
    })
    .await;
}

#[tokio::test]
async fn a_ban_holds_until_its_time_is_over_or_it_is_lifted() {
    each(async |store| {
        let ban = |user: &str, until: i64, reason: &str| Ban {
            user: user.to_owned(),
            until: Timestamp(until),
            reason: reason.to_owned(),
            by: "admin:key".to_owned(),
            at: Timestamp(10),
        };
        for ban in [ban("ada", 50, "first"), ban("bob", 100, ""), ban("ada", 200, "then"), ban("eve", 20, "")]
        {
            let put = write(&store, move |db| Box::pin(async move { bans::put(db, &ban).await })).await;
            assert_eq!(put, Banned::Yes);
        }
        let active = async |now, after: Option<&'static str>, limit| {
            write(&store, move |db| Box::pin(bans::list(db, Timestamp(now), after, limit))).await
        };
        assert_eq!(active(30, None, 9).await, [ban("ada", 200, "then"), ban("bob", 100, "")]);
        assert_eq!(active(30, None, 1).await, [ban("ada", 200, "then")]);
        assert_eq!(active(30, Some("ada"), 9).await, [ban("bob", 100, "")]);
        assert_eq!(active(100, None, 9).await, [ban("ada", 200, "then")]);
        let get = async |user: &'static str, now| {
            write(&store, move |db| Box::pin(bans::get(db, user, Timestamp(now)))).await
        };
        assert_eq!((get("ada", 199).await.is_some(), get("ada", 200).await), (true, None));
        let lift = async |user: &'static str| {
            write(&store, move |db| Box::pin(bans::lift(db, user, Timestamp(30)))).await
        };
        assert_eq!([lift("ada").await, lift("ada").await, lift("eve").await], [true, false, false]);
        let ended = write(&store, |db| Box::pin(bans::delete_ended(db, Timestamp(150), 9))).await;
        assert_eq!((ended, active(0, None, 9).await), (1, vec![]));
    })
    .await;
}

#[tokio::test]
async fn a_consultation_is_open_from_to_for_its_participants() {
    each(async |store| {
        let new = |id: &str, room: &str, participants: &[&str], opens: i64, closes: Option<i64>| {
            let participants = participants.iter().map(|&user| user.to_owned()).collect();
            let (opens, closes) = (Timestamp(opens), closes.map(Timestamp));
            Consultation::now(id, room, participants, opens, closes, &Party::admin("key"))
        };
        let create = async |consultation: &Consultation| {
            let new = consultation.clone();
            write(&store, move |db| Box::pin(async move { consultations::create(db, &new).await })).await
        };
        let first = new("1", "ward", &["bob", "ada", "ada"], 100, Some(200));
        assert_eq!(first.participants, ["ada", "bob"]);
        assert_eq!(create(&first).await, Created::Yes);
        let second = new("2", "ward 2", &["ada", "Eve"], 100, None);
        assert_eq!(create(&second).await, Created::Yes);
        for taken in [new("1", "other", &["ada"], 0, None), new("3", "ward", &["ada"], 0, None)] {
            assert_eq!(create(&taken).await, Created::Exists);
        }
        let between = async |user: &'static str, other: &'static str, at| {
            write(&store, move |db| Box::pin(consultations::is_open_between(db, user, other, Timestamp(at))))
                .await
        };
        assert!(between("ada", "bob", 100).await && between("bob", "ada", 199).await);
        assert!(!between("ada", "bob", 99).await && !between("ada", "bob", 200).await);
        assert!(between("Eve", "ada", i64::MAX).await && !between("Eve", "bob", 150).await);
        let in_room = async |user: &'static str, room: &'static str, at| {
            write(&store, move |db| Box::pin(consultations::is_open_in_room(db, user, room, Timestamp(at))))
                .await
        };
        assert!(in_room("ada", "ward", 150).await && !in_room("ada", "ward", 200).await);
        assert!(!in_room("Eve", "ward", 150).await && !in_room("ada", "elsewhere", 150).await);

        let list = async |filter: ConsultationFilter, limit| {
            write(&store, move |db| Box::pin(async move { consultations::list(db, &filter, limit).await }))
                .await
        };
        let all = list(ConsultationFilter::default(), 9).await;
        assert_eq!(all, [second.clone(), first.clone()]);
        let page = list(ConsultationFilter::default(), 1).await;
        let before = Some((page[0].created_at, page[0].id.clone()));
        assert_eq!(
            list(ConsultationFilter { before, ..ConsultationFilter::default() }, 9).await,
            std::slice::from_ref(&first)
        );
        let of_bob =
            ConsultationFilter { participant: Some("bob".to_owned()), ..ConsultationFilter::default() };
        assert_eq!(list(of_bob, 9).await, std::slice::from_ref(&first));
        let open = ConsultationFilter { open_at: Some(Timestamp(300)), ..ConsultationFilter::default() };
        assert_eq!(list(open, 9).await, [second]);
        let room = ConsultationFilter { room: Some("ward".to_owned()), ..ConsultationFilter::default() };
        assert_eq!(list(room, 9).await, std::slice::from_ref(&first));

        let delete = async |limit| {
            write(&store, move |db| {
                Box::pin(retention::delete_before(db, Kind::Consultations, Timestamp(150), limit))
            })
            .await
        };
        assert_eq!(delete(9).await, 0, "none has closed so early");
        let close = async |id: &'static str, at| {
            write(&store, move |db| Box::pin(consultations::close(db, id, Timestamp(at)))).await
        };
        assert_eq!(
            close("1", 150).await,
            Some(Consultation { closes: Some(Timestamp(150)), ..first.clone() })
        );
        assert_eq!(close("1", 180).await.unwrap().closes, Some(Timestamp(150)), "it was closed before");
        assert_eq!(close("9", 150).await, None);
        assert!(!between("ada", "bob", 150).await);
        assert_eq!(close("2", 140).await.unwrap().closes, Some(Timestamp(140)));
        assert_eq!((delete(9).await, list(ConsultationFilter::default(), 9).await.len()), (1, 1));
        assert!(!between("ada", "Eve", 120).await, "it is gone with its participants");
    })
    .await;
}

#[tokio::test]
async fn a_lease_has_one_holder() {
    each(async |store| {
        let take = async |holder: &'static str, now| {
            let lasts = Duration::from_micros(1);
            write(&store, move |db| Box::pin(leases::take(db, "work", holder, Timestamp(now), lasts))).await
        };
        assert_eq!([take("a", 0).await, take("b", 9).await, take("a", 5).await], [true, false, true]);
        assert_eq!([take("b", 14).await, take("b", 15).await, take("a", 16).await], [false, true, false]);
        write(&store, |db| Box::pin(leases::give_back(db, "work", "a"))).await;
        assert!(!take("a", 17).await, "it was another's");
        write(&store, |db| Box::pin(leases::give_back(db, "work", "b"))).await;
        assert!(take("a", 17).await);
    })
    .await;
}
