/// `N` random bytes of the operating system, fit for secrets: connection ids and tokens, keys, and names of instances.
///
/// # Panics
/// When the operating system has no random numbers to give. No id or secret would be safe then.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::getrandom(&mut bytes).expect("the operating system has random numbers");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike() {
        assert_ne!(random_bytes::<16>(), random_bytes::<16>());
    }
}
