//! Real parts for tests: redis-server and the official clients.
