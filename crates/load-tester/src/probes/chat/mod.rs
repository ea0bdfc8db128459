//! Users that chat, what they saw, and the judge of it. No code of the server is used.

pub(crate) mod history;
pub(crate) mod judge;
pub(crate) mod missed;
pub(crate) mod scenario;
pub(crate) mod token;
pub(crate) mod user;
