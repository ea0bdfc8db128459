//! Reasons, in words.

/// Why a connection has ended, or a request was refused, in words, and whether somebody should care.
pub(super) fn reason_words(reason: &str) -> (&str, bool) {
    match reason {
        "handshake_refused" => ("its handshake was refused", true),
        "handshake_lost" => ("the transport ended before the handshake", true),
        "client_closed" => ("the client said good-bye", false),
        "transport_closed" => ("the client closed the transport", false),
        "input_ended" => ("the client ended it", false),
        "transport_lost" => ("the transport was lost without a word", true),
        "transport_violation" => ("the client broke the rules of the transport", true),
        "truncated" => ("the transport ended within a message", true),
        "not_resumed" => ("the client did not come back in time", true),
        "authentication_expired" => ("the client's authentication has expired", true),
        "refresh_refused" => ("the client's newer sign-in was refused", true),
        "foreign_answer" => ("the client answered what another one was asked", true),
        "sequence_gap" => ("the client left messages out when it came back", true),
        "aborted" => ("the server closed it: the application, a ban or an operator", true),
        "server_shutdown" => ("the instance handed its clients over", false),
        "protocol_error" => ("the client sent what is no message", true),
        "client_timeout" => ("the client was silent for too long", true),
        "unwritable" => ("what a method returned cannot be written", true),
        "slow_client" => ("the client read its messages too slowly", true),
        "send_timeout" => ("the client took nothing for 10 s", true),
        "protocol_missing" => ("another server sent a message without the client's protocol", true),
        "on_connected_failed" => ("the application failed when the client connected", true),
        "unauthenticated" => ("it brought no token, and one is needed", true),
        "forbidden" => ("the user may not use this hub", true),
        "expired" => ("its token has expired", true),
        "another_user" => ("the connection belongs to another user", true),
        "unknown_connection" => {
            ("there is no such connection here: it has ended, or another server has it", true)
        }
        "no_connection_id" => ("it named no connection", true),
        "no_transport" => ("it came before the connection had a transport", true),
        "other_transport" => ("the connection has another transport", true),
        "transport_not_offered" => ("this transport is not offered", true),
        "connected_already" => ("the connection has its transport already", true),
        "not_upgraded" => ("it could not become a WebSocket", true),
        "unreachable" => ("the instance with the connection could not be asked", true),
        "not_refreshable" => ("its connection cannot be refreshed", true),
        "refresh_rejected" => ("the newer sign-in was refused", true),
        "refresh_failed" => ("the application failed to judge the newer sign-in", true),
        "negotiate_version" => ("the client negotiates in a version that is not served", true),
        "too_many_pending" => ("too many connections wait for their transport", true),
        "connections_per_address" => ("its address has as many connections as it may", true),
        "negotiations_per_address" => ("its address negotiates too often", true),
        "draining" => ("the instance is being drained; others take the client", false),
        "banned" => ("the user is kept out", true),
        "unusable_user_id" => ("the user's id is too long or has control characters", true),
        "origin" => ("the page's origin is not among Cors:AllowedOrigins", true),
        "host" => ("its host is not among AllowedHosts", true),
        "virtual_key" => ("it has no virtual key that is good", true),
        "virtual_key_unknown" => ("the database, which knows virtual keys, could not be asked", true),
        "development_token" => ("its token for development is not believed", true),
        "token_malformed" => ("its token is none", true),
        "token_signature_key_not_found" => ("its token is signed with a key that is not known", true),
        "token_signature_invalid" => ("its token's signature is wrong", true),
        "token_no_expiration" => ("its token never expires", true),
        "token_lifetime_invalid" => ("its token ends before it begins", true),
        "token_not_yet_valid" => ("its token is not valid yet", true),
        "token_audience_invalid" => ("its token is for another audience", true),
        "token_issuer_invalid" => ("its token is of another issuer", true),
        other => (other, true),
    }
}

#[cfg(test)]
mod tests {
    use hubline::{HubStatistics, Server};

    use super::*;

    #[tokio::test]
    async fn every_reason_has_words() {
        let server = Server::new();
        let hub = server.add_hub(hubline::Hub::<()>::new("Example"));
        let HubStatistics { closed, .. } = hub.context().statistics();
        for reason in closed.keys() {
            assert_ne!(reason_words(reason).0, *reason);
        }
        assert!(closed.len() > 20);
    }
}
