//! Names by which Redis and other servers know this process.

use hubline_protocol::random_bytes;

/// Of this machine, cut at the first dot as .NET does.
pub(crate) fn machine_name() -> String {
    let name = gethostname::gethostname().to_string_lossy().into_owned();
    name.split('.').next().unwrap_or_default().to_owned()
}

/// `{machine}_{32 hex digits}`, another one for each hub and process.
pub(crate) fn new_server_name() -> String {
    format!("{}_{:032x}", machine_name(), u128::from_be_bytes(random_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_names_look_like_the_ones_of_aspnet_core() {
        let name = new_server_name();
        let (machine, id) = name.rsplit_once('_').unwrap();
        assert!(!machine.is_empty() && !machine.contains('.'));
        assert!(id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    }
}
