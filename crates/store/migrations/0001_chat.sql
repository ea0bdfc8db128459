-- Each table is its own index where the database can do that: a message is in fewer places, and a conversation's are side by side.

-- A pair of users, the smaller id first and room '', or a room, with users ''.
CREATE TABLE chat_conversations (
    id BIGINT PRIMARY KEY,
    room TEXT NOT NULL,
    first_user TEXT NOT NULL,
    second_user TEXT NOT NULL,
    last_id BIGINT NOT NULL,
    last_sent_at BIGINT NOT NULL,
    UNIQUE (room, first_user, second_user)
)/* SQLite: WITHOUT ROWID */;

-- The text is last: SQLite reads what stands before a long one without it.
CREATE TABLE chat_messages (
    conversation BIGINT NOT NULL,
    id BIGINT NOT NULL,
    sender TEXT NOT NULL,
    sent_at BIGINT NOT NULL,
    client_message_id TEXT,
    text TEXT NOT NULL,
    PRIMARY KEY (conversation, id)
)/* SQLite: WITHOUT ROWID */;
CREATE UNIQUE INDEX chat_messages_client_message ON chat_messages (sender, client_message_id)
    WHERE client_message_id IS NOT NULL;
-- With the one above it finds the messages of a sender; each message is in one of the two.
CREATE INDEX chat_messages_sender ON chat_messages (sender, conversation, id) WHERE client_message_id IS NULL;

-- Both of a pair, whoever is in a room. Messages up to first_id were there before the user was.
CREATE TABLE chat_members (
    user_id TEXT NOT NULL,
    conversation BIGINT NOT NULL,
    first_id BIGINT NOT NULL,
    delivered_id BIGINT NOT NULL,
    read_id BIGINT NOT NULL,
    PRIMARY KEY (user_id, conversation)
)/* SQLite: WITHOUT ROWID */;
CREATE INDEX chat_members_conversation ON chat_members (conversation);

-- What is stored and may not have been published. Who publishes it puts a number of his own into claim.
CREATE TABLE chat_outbox (
    sent_at BIGINT NOT NULL,
    conversation BIGINT NOT NULL,
    id BIGINT NOT NULL,
    claim BIGINT NOT NULL,
    PRIMARY KEY (sent_at, conversation, id)
)/* SQLite: WITHOUT ROWID */;

-- Anonymous members of rooms, each with the instance that has its connection; and these instances, each of which raises its beat.
CREATE TABLE chat_guests (
    user_id TEXT PRIMARY KEY,
    instance TEXT NOT NULL
)/* SQLite: WITHOUT ROWID */;
CREATE INDEX chat_guests_instance ON chat_guests (instance);

CREATE TABLE chat_guest_instances (
    id TEXT PRIMARY KEY,
    beat BIGINT NOT NULL
)/* SQLite: WITHOUT ROWID */;
