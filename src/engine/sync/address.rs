//! Addresses of repositories, in the one form in which two of them can be compared.

/// Schemes of ssh.
const SSH_SCHEMES: [&str; 3] = ["ssh", "git+ssh", "ssh+git"];

/// The comparable form: lower-case, without `.git`, empty steps, credentials, a scheme's own port, and `%xx` where the
/// character may stand for itself; `git@host:path` and `ssh://git@host/path` are the same.
#[must_use]
pub fn normal(address: &str) -> String {
    let address = decoded(address.trim()).to_lowercase();
    let (scheme, port, rest) = match address.split_once("://") {
        Some((scheme, rest)) if SSH_SCHEMES.contains(&scheme) => ("", ":22", rest.to_owned()),
        Some((scheme, rest)) => {
            let port = match scheme {
                "https" => ":443",
                "http" => ":80",
                _ => "",
            };
            (scheme, port, without_credentials(rest.trim_start_matches('/')).to_owned())
        }
        // The short form of ssh: the first colon stands for the first slash.
        None if address.contains('@') => ("", "", address.replacen(':', "/", 1)),
        None => ("", "", address.clone()),
    };
    let mut steps = rest.split('/').filter(|step| !step.is_empty());
    let host = steps.next().unwrap_or_default();
    let host = host.strip_suffix(port).unwrap_or(host).trim_end_matches('.');
    let path = std::iter::once(host).chain(steps).collect::<Vec<_>>().join("/");
    let path = path.strip_suffix(".git").unwrap_or(&path);
    if scheme.is_empty() { path.to_owned() } else { format!("{scheme}://{path}") }
}

/// Resolves `%xx` of characters that may stand for themselves. Those that would make something else of an address or of
/// a pattern stay.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let hex = more.get(..2).filter(|hex| *first == b'%' && hex.iter().all(u8::is_ascii_hexdigit));
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        let plain = byte.filter(|byte| !byte.is_ascii_control() && !br"%/\?#@:*[]{},!".contains(byte));
        rest = if plain.is_some() { &more[2..] } else { more };
        bytes.push(plain.unwrap_or(*first));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Cuts `user:password@` off the part of an address after the scheme.
fn without_credentials(rest: &str) -> &str {
    let host_end = rest.find('/').unwrap_or(rest.len());
    rest[..host_end].rfind('@').map_or(rest, |at| &rest[at + 1..])
}

/// The address without credentials, for messages.
#[must_use]
pub fn redacted(address: &str) -> String {
    match address.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", without_credentials(rest)),
        None => address.to_owned(),
    }
}

/// Whether an address has steps (`..`), signs or a host that would lead a server to another repository than the one
/// that a project's pattern was matched against.
#[must_use]
pub fn is_devious(address: &str) -> bool {
    let lower = decoded(address.trim()).to_lowercase();
    let path = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
    let authority = path.split('/').find(|step| !step.is_empty()).unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    path.split('/').any(|step| step == ".." || step == ".")
        || ["%2e", "%2f", "%5c"].iter().any(|sign| path.contains(sign))
        // Clients of http read a backslash as a slash, leave out what is no sign at all, and fold letters of hosts.
        || path.contains(['?', '#', '\\'])
        || path.contains(char::is_control)
        || (path.len() < lower.len() && (!host.is_ascii() || (host.contains('%') && !host.starts_with('['))))
}

/// Where a repository is, however it is read: host and path, without scheme, user, port, `.git` and the names that
/// servers have for ssh only. Nothing for what has no host.
#[must_use]
pub fn place(address: &str) -> Option<String> {
    let address = decoded(address.trim()).to_lowercase();
    let (authority, path) = match address.split_once("://") {
        Some(("file", _)) => return None,
        Some((_, rest)) => rest.trim_start_matches('/').split_once('/')?,
        None => {
            let (_, rest) = address.split_once('@')?;
            rest.split_once(':')?
        }
    };
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    // The colons of an address in brackets are no port's.
    let port = host.rfind(':').filter(|colon| host.rfind(']').is_none_or(|end| end < *colon));
    let host = port.map_or(host, |colon| &host[..colon]);
    let host = ["altssh.", "ssh."].iter().find_map(|name| host.strip_prefix(name)).unwrap_or(host);
    let host = host.trim_end_matches('.');
    let path = path.split('/').filter(|step| !step.is_empty()).collect::<Vec<_>>().join("/");
    let path = path.strip_suffix(".git").unwrap_or(&path);
    (!host.is_empty() && !path.is_empty()).then(|| format!("{host}/{path}"))
}

/// A repository on an ssh server, taken apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ssh {
    /// Who to log in as.
    pub user: String,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path as the server is told it: relative to the home directory unless it begins with a slash.
    pub path: String,
}

/// ssh's own port.
pub const SSH_PORT: u16 = 22;
/// Who Git servers expect, where an address names nobody.
const SSH_USER: &str = "git";
/// Longer parts of an address than these are nobody's: the longest user name, host name and path of systems in use.
const USER_MAX: usize = 64;
const HOST_MAX: usize = 253;
const PATH_MAX: usize = 1024;

/// Takes an ssh address apart; nothing for an address of another kind.
///
/// # Errors
/// Says which part cannot be what it stands for. What could be taken for an option by a program at either end, or
/// would end a line, is refused.
#[must_use]
pub fn ssh(address: &str) -> Option<Result<Ssh, String>> {
    let address = address.trim();
    if let Some((scheme, rest)) = address.split_once("://") {
        let is_ssh = SSH_SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known));
        return is_ssh.then(|| {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let path = path.strip_prefix('/').filter(|path| path.starts_with('~')).unwrap_or(path);
            let (user, place) = authority.rsplit_once('@').unwrap_or((SSH_USER, authority));
            let (host, port) = host_and_port(place)?;
            checked(user, host, port, path)
        });
    }
    // The short form has no port: what follows the first colon behind the host is the path.
    let (user, rest) = address.split_once('@').filter(|(user, _)| !user.contains(['/', ':']))?;
    let end = if rest.starts_with('[') { rest.find("]:").map(|end| end + 1) } else { rest.find(':') };
    Some(match end {
        Some(end) => checked(user, unbracketed(&rest[..end]), SSH_PORT, &rest[end + 1..]),
        None => Err("it has no path: write git@HOST:PATH".to_owned()),
    })
}

fn host_and_port(place: &str) -> Result<(&str, u16), String> {
    let host_end = place.rfind(']').map_or(0, |end| end + 1);
    let Some(colon) = place[host_end..].find(':').map(|at| host_end + at) else {
        return Ok((unbracketed(place), SSH_PORT));
    };
    let port = place[colon + 1..].parse().ok().filter(|port| *port != 0);
    let port = port.ok_or("its port is no number from 1 to 65535")?;
    Ok((unbracketed(&place[..colon]), port))
}

fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn checked(user: &str, host: &str, port: u16, path: &str) -> Result<Ssh, String> {
    let consists = |text: &str, others: &str, longest: usize| {
        !text.is_empty()
            && text.len() <= longest
            && !text.starts_with('-')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
    };
    if user.contains(':') {
        return Err("it holds a password, which ssh does not take from an address".to_owned());
    }
    if !consists(user, "._+-", USER_MAX) {
        return Err("its user is no name".to_owned());
    }
    if !consists(host, ".-_:", HOST_MAX) {
        return Err("its host is no name and no address".to_owned());
    }
    let odd = |c: char| c.is_whitespace() || c.is_control();
    if path.trim_matches('/').is_empty()
        || path.len() > PATH_MAX
        || path.starts_with('-')
        || path.contains(odd)
    {
        return Err("its path is no path".to_owned());
    }
    Ok(Ssh { user: user.to_owned(), host: host.to_lowercase(), port, path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repository_is_one_place() {
        for address in [
            "https://Git.Example/Team/Shop",
            "http://me:s3cret@git.example:8443/team/shop.git/",
            "git@git.example:team/shop.git",
            "ssh://git@git.example:7999/team/shop.git",
            "ssh://git@ssh.git.example/team/shop",
            "git@altssh.git.example:/team/shop",
            "https://git.example.//team/%73hop%2Egit",
        ] {
            assert_eq!(place(address).as_deref(), Some("git.example/team/shop"), "{address}");
        }
        assert_eq!(place("ssh://git@[::1]:22/shop").as_deref(), Some("[::1]/shop"));
        for nowhere in
            ["", "file:///srv/shop", "/srv/shop", "https://git.example", "https:///shop", "git@git.example"]
        {
            assert_eq!(place(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn addresses_of_ssh_are_taken_apart() {
        let parts = |address: &str| {
            let ssh = ssh(address).unwrap().unwrap();
            format!("{}|{}|{}|{}", ssh.user, ssh.host, ssh.port, ssh.path)
        };
        for (address, want) in [
            ("git@git.example:team/shop.git", "git|git.example|22|team/shop.git"),
            ("me@Git.Example:/srv/shop", "me|git.example|22|/srv/shop"),
            ("git@[2001:db8::1]:shop", "git|2001:db8::1|22|shop"),
            ("ssh://git@git.example/team/shop.git", "git|git.example|22|/team/shop.git"),
            ("SSH://git.example:2222/shop", "git|git.example|2222|/shop"),
            ("git+ssh://me@[::1]:22/~me/shop", "me|::1|22|~me/shop"),
        ] {
            assert_eq!(parts(address), want, "{address}");
        }
        for other in ["https://git@git.example/a", "file:///a", "/srv/a", "git.example/a", "http://me:a@b:c"]
        {
            assert_eq!(ssh(other), None, "{other}");
        }
    }

    #[test]
    fn hostile_addresses_of_ssh_are_refused() {
        for (address, why) in [
            ("ssh://-oProxyCommand=x/a", "host"),
            ("ssh://git@-oProxyCommand=x/a", "host"),
            ("ssh://-l@git.example/a", "user"),
            ("-l@git.example:a", "user"),
            ("git@git.example:-upload", "path"),
            ("git@git.example", "path"),
            ("ssh://git@git.example", "path"),
            ("ssh://git@git.example//", "path"),
            ("git@git.example:a\nb", "path"),
            ("git@git.example:a b", "path"),
            ("git@git.exa\nmple:a", "host"),
            ("git@git ;x:a", "host"),
            ("ssh://git@git.example:0/a", "port"),
            ("ssh://git@git.example:99999/a", "port"),
            ("ssh://git@git.example:-p/a", "port"),
            ("ssh://git:s3cret@git.example/a", "password"),
            ("ssh://git@[::1/a", "port"),
            ("ssh:///a", "host"),
        ] {
            let error = ssh(address).unwrap().unwrap_err();
            assert!(error.contains(why), "{address}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn forms_of_one_address_are_equal() {
        for (address, want) in [
            ("https://Git.Example/Shop.git", "https://git.example/shop"),
            ("https://git.example/shop/", "https://git.example/shop"),
            ("https://me:secret@git.example/shop", "https://git.example/shop"),
            ("git@git.example:team/shop.git", "git@git.example/team/shop"),
            ("ssh://git@git.example/team/shop", "git@git.example/team/shop"),
            ("git@git.example:/team//shop.git", "git@git.example/team/shop"),
            ("git+ssh://git@git.example:22/team/shop", "git@git.example/team/shop"),
            ("ssh://git@git.example:7999/team/shop", "git@git.example:7999/team/shop"),
            ("https://git.example:443/team/%73hop", "https://git.example/team/shop"),
            ("https://%67it.example.//team/sho%50%2egit", "https://git.example/team/shop"),
            ("https:///git.example/shop", "https://git.example/shop"),
            ("http://git.example:80/my%20shop", "http://git.example/my shop"),
            ("http://git.example:443/caf%C3%A9%2Fx%25", "http://git.example:443/café%2fx%25"),
            ("https://git.example:8443/shop", "https://git.example:8443/shop"),
        ] {
            assert_eq!(normal(address), want, "{address}");
        }
    }

    #[test]
    fn messages_show_no_password() {
        assert_eq!(redacted("https://me:s3cret@git.example/a@b"), "https://git.example/a@b");
        assert_eq!(redacted("https://git.example/a"), "https://git.example/a");
    }

    #[test]
    fn detours_are_seen() {
        assert!(is_devious("https://git.example/team-a/../team-b/shop"));
        assert!(is_devious("https://git.example/team-a/%2E%2e/team-b/shop"));
        for other in [
            "https://git.example/team-a/%2E./team-b/shop",
            "https://git.example\\team-b/shop",
            "https://git.example/team-b/sh\top",
            "https://ｇit.example/team-b/shop",
            "https://git%3aexample/team-b/shop",
        ] {
            assert!(is_devious(other), "{other}");
        }
        for plain in [
            "https://git.example/team..a/shop",
            "https://me:p%40ss@git.example/my%20team/café",
            "git@git.example:team/shop.git",
            "ssh://git@[::1]:22/shop",
        ] {
            assert!(!is_devious(plain), "{plain}");
        }
    }
}
