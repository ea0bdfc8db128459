//! The `Host` of a request (RFC 9112, section 3.2).

use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::uri::Scheme;
use axum::http::{Uri, Version};

/// Whether a request says which host it is for as Kestrel wants it said: in one `Host` header, which may be missing in HTTP/1.0 only,
/// which may be empty, and which agrees with a target that is a whole URL.
///
/// Whoever takes the first of two hosts, and something behind it that takes the second, could be told different things.
pub(super) fn has_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    let Some(host) = host else { return request.version() < Version::HTTP_11 };
    if more.is_some() || !is_host(host.as_bytes()) {
        return false;
    }
    is_of(host.as_bytes(), request.uri())
}

/// Whether `host` is empty, or a name or address with or without a port.
fn is_host(host: &[u8]) -> bool {
    let (name, port) = match host.first() {
        None => return true,
        Some(b'[') => {
            let Some(end) = host.iter().position(|&byte| byte == b']') else { return false };
            let is_address =
                host[1..end].iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
            // Kestrel wants three characters in brackets.
            (is_address && end > 3, &host[end + 1..])
        }
        Some(_) => {
            let end = host.iter().position(|&byte| byte == b':').unwrap_or(host.len());
            (end > 0 && host[..end].iter().all(|&byte| may_stand_in_name(byte)), &host[end..])
        }
    };
    name && match port {
        [] => true,
        [b':', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Unreserved characters and those sub-delimiters that Kestrel takes.
fn may_stand_in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()".contains(&byte)
}

/// Whether `host` is that of a target, where one of them may leave out the scheme's usual port.
fn is_of(host: &[u8], target: &Uri) -> bool {
    let Some(authority) = target.authority() else { return true };
    let without_user = authority.as_str().rsplit('@').next().unwrap_or_default().as_bytes();
    let usual_port: &[u8] = if target.scheme() == Some(&Scheme::HTTPS) { b":443" } else { b":80" };
    let with_port = |host: &[u8]| [host, usual_port].concat();
    host.eq_ignore_ascii_case(without_user)
        || with_port(host).eq_ignore_ascii_case(without_user)
        || host.eq_ignore_ascii_case(&with_port(without_user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_from_others_as_kestrel_does() {
        for host in [
            "",
            "h",
            "hub.example.org",
            "hub:5000",
            "h:99999",
            "127.0.0.1:5",
            "[::1]",
            "[::1]:80",
            "[fe80::1]",
            "[1:2]",
            "[::ffff:1.2.3.4]:1",
            "h_h",
            "-",
            "H.",
            "a!$&'()~b",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "h:", "h:x", "h:-1", ":80", "::1", "[::1", "[::1]80", "[::1]:", "[x]", "[]", "[::]", "[::1%e]",
            "a b", "u@h", "h/x", "é", "%41", "h, g", "h:80:80", "h?", "h#", "h*", "h+", "h;", "h=", "<h>",
            "h\t",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn a_request_has_one_host_and_means_it() {
        let has = |version, target: &str, hosts: &[&str]| {
            let mut request = Request::builder().version(version).uri(target);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            has_host(&request.body(()).unwrap())
        };
        let (old, new) = (Version::HTTP_10, Version::HTTP_11);
        for (target, hosts, in_old, in_new) in [
            ("/", &[][..], true, false),
            ("/", &[""], true, true),
            ("/", &["h"], true, true),
            ("/", &["h", "h"], false, false),
            ("/", &["h", "g"], false, false),
            ("/", &["h, g"], false, false),
            ("http://h/", &[], true, false),
            ("http://h/", &[""], false, false),
            ("http://h/", &["H"], true, true),
            ("http://h/", &["h:80"], true, true),
            ("http://h:80/", &["h"], true, true),
            ("http://h:81/", &["h"], false, false),
            ("http://other/", &["h"], false, false),
            ("http://u@h/", &["h"], true, true),
            ("https://h/", &["h:443"], true, true),
            ("https://h/", &["h:80"], false, false),
        ] {
            assert_eq!(has(old, target, hosts), in_old, "HTTP/1.0 {target} {hosts:?}");
            assert_eq!(has(new, target, hosts), in_new, "HTTP/1.1 {target} {hosts:?}");
        }
    }
}
