//! Addresses of repositories, in the one form in which two of them can be compared.

/// The comparable form: lower-case, without `.git`, a trailing slash or credentials; `git@host:path` and
/// `ssh://git@host/path` are the same.
#[must_use]
pub fn normal(address: &str) -> String {
    let address = address.trim().to_lowercase();
    let address = address.trim_end_matches('/');
    let address = address.strip_suffix(".git").unwrap_or(address);
    match address.split_once("://") {
        Some(("ssh", rest)) => rest.to_owned(),
        Some((scheme, rest)) => format!("{scheme}://{}", without_credentials(rest)),
        // The short form of ssh: the first colon stands for the first slash.
        None if address.contains('@') => address.replacen(':', "/", 1),
        None => address.to_owned(),
    }
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

/// Whether an address has steps (`..`) that would lead a server to another repository than the one that a
/// project's pattern was matched against.
#[must_use]
pub fn is_devious(address: &str) -> bool {
    let lower = address.to_lowercase();
    let path = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
    path.split(['/', '\\']).any(|step| step == ".." || step == ".")
        || path.contains("%2e")
        || path.contains("%2f")
        || path.contains("%5c")
        || path.contains(['?', '#'])
}

/// Where a repository is, however it is read: host and path, without scheme, user, port, `.git` and the names that
/// servers have for ssh only. Nothing for what has no host.
#[must_use]
pub fn place(address: &str) -> Option<String> {
    let address = address.trim().to_lowercase();
    let (authority, path) = match address.split_once("://") {
        Some(("file", _)) => return None,
        Some((_, rest)) => rest.split_once('/')?,
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
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path).trim_end_matches('/');
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
        let is_ssh = ["ssh", "git+ssh", "ssh+git"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
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
        assert!(!is_devious("https://git.example/team..a/shop"));
    }
}
