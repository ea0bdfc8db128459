use hubline_backplane::InstanceId;
use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn invocations_come_back(
        excluded in prop::collection::vec(".{0,40}", 0..20),
        json in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
        message_pack in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
        answer in prop::option::of((".{1,40}", ".{0,300}")),
        id in prop::option::of((any::<[u8; 8]>(), any::<u64>(), any::<bool>())),
        trace in prop::option::of(".{0,60}"),
        behind in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let sent = Invocation {
            excluded: excluded.into_iter().map(ConnectionId::from).collect(),
            messages: Messages { json: json.as_deref(), message_pack: message_pack.as_deref() },
            answer_to: answer.as_ref().map(|(invocation_id, channel)| AnswerTo { invocation_id, channel }),
            id: id.map(|(origin, number, is_replay)| PublicationId {
                origin: InstanceId::from_bytes(origin),
                number,
                is_replay,
            }),
            trace_parent: trace.as_deref().filter(|_| id.is_some()),
        };
        let mut payload = sent.encode();
        payload.extend(behind);
        prop_assert_eq!(PublicationId::find(&payload), sent.id);
        prop_assert_eq!(Invocation::decode(&payload), Ok(sent));
    }

    #[test]
    fn commands_acks_and_completions_come_back(
        id: i32, action: u8, names in [".{0,40}", ".{0,300}", ".{0,40}"],
        message in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let [server_name, group, connection_id] = names.each_ref().map(String::as_str);
        let command = GroupCommand { id, server_name, action: action.into(), group, connection_id };
        let payload = command.encode();
        prop_assert_eq!(GroupCommand::decode(&payload), Ok(command));
        prop_assert_eq!(Ack::decode(&Ack { id }.encode()), Ok(Ack { id }));
        let completion = Completion { protocol: group, message: &message };
        let payload = completion.encode();
        prop_assert_eq!(Completion::decode(&payload), Ok(completion));
    }

    #[test]
    fn an_id_is_all_that_is_added(
        excluded in prop::collection::vec(".{0,40}", 0..20),
        json in prop::collection::vec(any::<u8>(), 0..300),
        answer in prop::option::of((".{1,40}", ".{0,300}")),
        number: u64,
        is_replay: bool,
    ) {
        let mut frames = Frames::default();
        frames.set(HubProtocol::Json, Encoded::copy_from(&json));
        let excluded: Vec<_> = excluded.into_iter().map(ConnectionId::from).collect();
        let answer_to =
            answer.as_ref().map(|(invocation_id, channel)| AnswerTo { invocation_id, channel });
        let id = PublicationId { origin: InstanceId::random(), number, is_replay };
        let mut payload = publication(&excluded, &frames, answer_to);
        id.put(None, &mut payload).unwrap();
        let messages = Messages { json: Some(&json), message_pack: None };
        let id = Some(id);
        let sent = Invocation { excluded: excluded.into(), messages, answer_to, id, trace_parent: None };
        prop_assert_eq!(sent.encode(), payload);
    }

    #[test]
    fn no_bytes_harm(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        decode_as_anything(&payload);
    }

    #[test]
    fn no_damage_harms(at in 0_usize..60, byte: u8, cut in 0_usize..60) {
        let sent = Invocation {
            excluded: Arc::from([ConnectionId::from("c1")]),
            messages: Messages { json: Some(b"{}\x1e"), message_pack: Some(&[0]) },
            answer_to: Some(AnswerTo { invocation_id: "1", channel: "Hub:internal:return:s" }),
            id: Some(PublicationId { origin: InstanceId::random(), number: 300, is_replay: true }),
            trace_parent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        };
        let mut payload = sent.encode();
        if let Some(place) = payload.get_mut(at) {
            *place = byte;
        }
        payload.truncate(payload.len().saturating_sub(cut));
        decode_as_anything(&payload);
    }
}

fn decode_as_anything(payload: &[u8]) {
    let invocation = Invocation::decode(payload);
    if let Ok(Invocation { id, .. }) = invocation {
        assert_eq!(PublicationId::find(payload), id);
    }
    let _ = GroupCommand::decode(payload);
    let _ = Ack::decode(payload);
    let _ = Completion::decode(payload);
}
