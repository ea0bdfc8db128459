//! What runs in Redis.

use std::sync::LazyLock;

use crate::RedisScript;

macro_rules! script {
    ($(#[$documentation:meta])* $name:ident = $($file:literal),+) => {
        $(#[$documentation])*
        pub(super) static $name: LazyLock<RedisScript> =
            LazyLock::new(|| RedisScript::new(concat!($(include_str!(concat!("scripts/", $file))),+)));
    };
}

script!(REGISTER = "common.lua", "register.lua");
script!(BEAT = "common.lua", "beat.lua");
script!(WRITE = "common.lua", "write.lua");
script!(SWEEP = "common.lua", "sweep.lua");
script!(MEMBERS = "members.lua");
