//! Which key a command is about.

use redis::{Arg, Cmd};

/// Commands whose second argument tells how many keys there are.
const WITH_KEY_COUNT: [&[u8]; 6] = [b"EVAL", b"EVALSHA", b"EVAL_RO", b"EVALSHA_RO", b"FCALL", b"FCALL_RO"];

/// The first key: what follows the command's name, or the number of keys.
pub(super) fn of_command(command: &Cmd) -> Option<Vec<u8>> {
    let mut arguments = command.args_iter().filter_map(|argument| match argument {
        Arg::Simple(bytes) => Some(bytes),
        _ => None,
    });
    let name = arguments.next()?;
    match WITH_KEY_COUNT.iter().any(|with| name.eq_ignore_ascii_case(with)) {
        true => {
            let count = arguments.nth(1)?;
            arguments.next().filter(|_| count != b"0")
        }
        false => arguments.next(),
    }
    .map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key() {
        let cases: [(&[&str], Option<&str>); 6] = [
            (&["GET", "k"], Some("k")),
            (&["HSET", "k", "f", "v"], Some("k")),
            (&["evalsha", "abc", "2", "k", "l", "a"], Some("k")),
            (&["EVAL", "return 1", "0", "a"], None),
            (&["PING"], None),
            (&["EVAL"], None),
        ];
        for (words, expected) in cases {
            let mut command = redis::cmd(words[0]);
            words[1..].iter().for_each(|word| _ = command.arg(word));
            assert_eq!(of_command(&command).as_deref(), expected.map(str::as_bytes), "{words:?}");
        }
    }
}
