//! What the environment says of hub, cache and network; the variables are those of `huggingface_hub`.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::address::shown;
use crate::error::{Error, ErrorKind};

/// The hub, where no mirror is named.
pub const HUB: &str = "https://huggingface.co";

/// Reads a variable; [`std::env::var_os`], or a table in tests.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// How the hub is reached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The hub or a mirror of it, without a `/` at the end.
    pub endpoint: String,
    /// What proves to the endpoint, and to nobody else, who asks.
    pub token: Option<Token>,
    /// Nothing may go over the network.
    pub offline: bool,
    /// The proxies to go through.
    pub proxies: Proxies,
    /// Certificates to trust instead of those that are built in.
    pub certificates: Option<Certificates>,
    /// How long a connection may take, and how long nothing may come over it.
    pub patience: Duration,
    /// How often, without a byte of progress between, something is tried.
    pub attempts: u32,
    /// How long to wait before the second attempt; twice as long before each next one.
    pub first_wait: Duration,
}

/// Where certificates lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    /// A file in PEM, or a folder of such.
    pub path: PathBuf,
    /// The variable that named it, for messages.
    pub from: &'static str,
}

/// A token, which is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: String,
    /// Where it was found, for messages.
    from: String,
}

impl Token {
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.secret)
    }

    pub(crate) fn from(&self) -> &str {
        &self.from
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(from {})", self.from)
    }
}

/// Proxies by the scheme of what is asked for, and hosts that need none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http://`.
    pub http: Option<String>,
    /// For `https://`.
    pub https: Option<String>,
    /// Hosts and endings of hosts that are reached directly; `*` is all.
    pub none_for: Vec<String>,
}

impl Proxies {
    /// The proxy for a host, if there is one.
    pub(crate) fn of(&self, scheme: &str, host: &str, port: u16) -> Option<&str> {
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        let direct = self.none_for.iter().any(|entry| {
            let entry = match entry.rsplit_once(':') {
                // A port, unless it is the end of an IPv6 address.
                Some((name, of_port)) if !name.contains(':') || name.ends_with(']') => {
                    match of_port.parse::<u16>() {
                        Ok(of_port) if port == of_port => name.trim_matches(['[', ']']),
                        _ => return false,
                    }
                }
                _ => entry.trim_matches(['[', ']']),
            };
            let entry = entry.trim_start_matches('*').trim_start_matches('.');
            // `*` alone has become empty: all hosts.
            entry.is_empty()
                || host == entry
                || host.strip_suffix(entry).is_some_and(|rest| rest.ends_with('.'))
        });
        let proxy = if scheme == "https" { &self.https } else { &self.http };
        proxy.as_deref().filter(|_| !direct)
    }
}

impl Settings {
    /// What the variables say. `offline` is what the command line adds to them.
    ///
    /// # Errors
    /// HF_ENDPOINT is no address, or the file that HF_TOKEN_PATH names cannot be read.
    pub fn from_variables(get: Variables<'_>, offline: bool) -> Result<Self, Error> {
        let text = |name: &str| text_of(get, name);
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| HUB.to_owned()).trim_end_matches('/').to_owned();
        if !["http://", "https://"]
            .iter()
            .any(|scheme| endpoint.strip_prefix(scheme).is_some_and(|h| !h.is_empty()))
        {
            let message = format!("HF_ENDPOINT: {:?} is no address; write it as in {HUB}", shown(&endpoint));
            return Err(Error::new(ErrorKind::Setting, message));
        }
        let proxy = |names: &[&str]| names.iter().find_map(|name| text(name));
        let all = proxy(&["ALL_PROXY", "all_proxy"]);
        let none_for = proxy(&["NO_PROXY", "no_proxy"]).unwrap_or_default();
        let proxies = Proxies {
            http: proxy(&["HTTP_PROXY", "http_proxy"]).or_else(|| all.clone()),
            https: proxy(&["HTTPS_PROXY", "https_proxy"]).or(all),
            none_for: none_for
                .split(',')
                .map(|host| host.trim().to_ascii_lowercase())
                .filter(|h| !h.is_empty())
                .collect(),
        };
        let patience =
            text("HF_HUB_DOWNLOAD_TIMEOUT").and_then(|seconds| seconds.parse().ok()).filter(|&s| s > 0);
        Ok(Self {
            token: token(get)?,
            offline: offline || is_offline(get),
            endpoint,
            proxies,
            certificates: ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR"]
                .into_iter()
                .find_map(|from| {
                    let path = path(get, from)?;
                    // Of a list of folders, the first that is there.
                    let there = std::env::split_paths(&path).find(|folder| folder.is_dir());
                    Some(Certificates {
                        path: there.filter(|_| from == "SSL_CERT_DIR").unwrap_or(path),
                        from,
                    })
                }),
            patience: Duration::from_secs(patience.unwrap_or(20)),
            attempts: 5,
            first_wait: Duration::from_millis(500),
        })
    }
}

/// Whether the variables forbid the network: CONNOTE_OFFLINE, HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE.
pub fn is_offline(get: Variables<'_>) -> bool {
    ["CONNOTE_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].iter().any(|name| is_true(get, name))
}

/// The folder of the cache: HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, else `hub` in HF_HOME, else in `huggingface` of the
/// user's cache folder. `None` where not even a home is known.
pub fn cache_folder(get: Variables<'_>) -> Option<PathBuf> {
    let named = path(get, "HF_HUB_CACHE").or_else(|| path(get, "HUGGINGFACE_HUB_CACHE"));
    named.or_else(|| Some(hf_home(get)?.join("hub")))
}

/// The folder where models are looked for by the names of their files: EMBED_MODELS_DIR, else `embed-models` in the user's
/// cache folder. `None` where not even a home is known.
pub fn models_folder(get: Variables<'_>) -> Option<PathBuf> {
    let named = get("EMBED_MODELS_DIR").filter(|value| !value.is_empty()).map(PathBuf::from);
    named.or_else(|| Some(home(get)?.join(".cache/embed-models")))
}

fn hf_home(get: Variables<'_>) -> Option<PathBuf> {
    let caches = || path(get, "XDG_CACHE_HOME").or_else(|| Some(home(get)?.join(".cache")));
    path(get, "HF_HOME").or_else(|| Some(caches()?.join("huggingface")))
}

fn token(get: Variables<'_>) -> Result<Option<Token>, Error> {
    let clean = |text: &str| Some(text.trim().replace(['\r', '\n'], "")).filter(|text| !text.is_empty());
    if is_true(get, "HF_HUB_DISABLE_IMPLICIT_TOKEN") {
        return Ok(None);
    }
    for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
        if let Some(secret) = text_of(get, name).as_deref().and_then(clean) {
            return checked(Token { secret, from: name.to_owned() }).map(Some);
        }
    }
    let named = path(get, "HF_TOKEN_PATH");
    let Some(file) = named.clone().or_else(|| Some(hf_home(get)?.join("token"))) else { return Ok(None) };
    match std::fs::read_to_string(&file) {
        Ok(text) => match clean(&text) {
            Some(secret) => checked(Token { secret, from: file.display().to_string() }).map(Some),
            None => Ok(None),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => Ok(None),
        Err(error) => Err(Error::disk(&file, "the token cannot be read", &error)),
    }
}

/// It goes into a header.
fn checked(token: Token) -> Result<Token, Error> {
    if token.secret.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(token);
    }
    Err(Error::new(
        ErrorKind::Setting,
        format!("{}: has no token, which is letters and digits in one word", token.from),
    ))
}

fn is_true(get: Variables<'_>, name: &str) -> bool {
    text_of(get, name)
        .is_some_and(|value| ["1", "on", "yes", "true"].contains(&value.to_ascii_lowercase().as_str()))
}

fn text_of(get: Variables<'_>, name: &str) -> Option<String> {
    get(name)?.into_string().ok().filter(|value| !value.is_empty())
}

/// A path; `~` is the home, as it comes from files that no shell read.
fn path(get: Variables<'_>, name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(get(name).filter(|value| !value.is_empty())?);
    match path.strip_prefix(Path::new("~")) {
        Ok(rest) => Some(home(get)?.join(rest)),
        Err(_) => Some(path),
    }
}

fn home(get: Variables<'_>) -> Option<PathBuf> {
    let name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    get(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table<'a>(rows: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        move |name| rows.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
    }

    fn folder(rows: &[(&str, &str)]) -> Option<PathBuf> {
        cache_folder(&table(rows))
    }

    #[test]
    fn the_cache_is_where_the_python_package_has_it() {
        let home = ("HOME", "/h");
        let rows: &[(&[(&str, &str)], &str)] = &[
            (&[home], "/h/.cache/huggingface/hub"),
            (&[home, ("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (&[home, ("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/hf")], "/h/hf/hub"),
            (&[home, ("HF_HOME", "/hf"), ("HUGGINGFACE_HUB_CACHE", "/old")], "/old"),
            (&[home, ("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HUB_CACHE", "/c")], "/c"),
            (&[home, ("HF_HUB_CACHE", "")], "/h/.cache/huggingface/hub"),
        ];
        for (variables, wanted) in rows {
            assert_eq!(folder(variables).as_deref(), Some(Path::new(wanted)), "{variables:?}");
        }
        assert_eq!(folder(&[]), None);
    }

    #[test]
    fn the_token_is_found_and_never_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        std::fs::write(&file, "hf_fromfile\r\n").expect("written");
        let home = folder.path().to_str().expect("UTF-8");
        let read = |rows: &[(&str, &str)]| Settings::from_variables(&table(rows), false).map(|s| s.token);
        let secret = |rows: &[(&str, &str)]| read(rows).expect("settings").map(|token| token.secret);
        assert_eq!(secret(&[("HF_HOME", home)]).as_deref(), Some("hf_fromfile"));
        assert_eq!(secret(&[("HF_HOME", home), ("HF_TOKEN", " hf_a ")]).as_deref(), Some("hf_a"));
        assert_eq!(secret(&[("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        assert_eq!(secret(&[("HOME", "/nowhere")]), None);
        assert!(
            read(&[("HF_TOKEN_PATH", "/nowhere/token")])
                .expect_err("named")
                .to_string()
                .contains("/nowhere/token")
        );
        assert!(read(&[("HF_TOKEN", "a b")]).expect_err("two words").to_string().contains("HF_TOKEN"));
        let token = read(&[("HF_TOKEN", "hf_secret")]).expect("settings");
        assert_eq!(format!("{token:?}"), "Some(Token(from HF_TOKEN))");
    }

    #[test]
    fn proxies_go_by_scheme_and_host() {
        let rows = [
            ("ALL_PROXY", "socks5://s"),
            ("https_proxy", "http://p:1"),
            ("NO_PROXY", "localhost, .in.house,*.x.org,mirror:81,[::1]:82,fe80::1"),
        ];
        let proxies = Settings::from_variables(&table(&rows), false).expect("settings").proxies;
        assert_eq!(proxies.of("https", "hf.co", 443), Some("http://p:1"));
        assert_eq!(proxies.of("http", "hf.co", 80), Some("socks5://s"));
        for direct in ["localhost", "a.in.house", "in.house", "A.X.org"] {
            assert_eq!(proxies.of("http", direct, 80), None, "{direct}");
        }
        assert!(
            proxies.of("http", "notin.house.com", 80).is_some()
                && proxies.of("http", "win.house", 80).is_some()
        );
        for (host, port, direct) in [
            ("mirror", 81, true),
            ("mirror", 80, false),
            ("::1", 82, true),
            ("[::1]", 80, false),
            ("[fe80::1]", 80, true),
        ] {
            assert_eq!(proxies.of("http", host, port).is_none(), direct, "{host} {port}");
        }
        let all = Settings::from_variables(&table(&[("HTTP_PROXY", "p"), ("NO_PROXY", "*")]), false)
            .expect("settings");
        assert_eq!(all.proxies.of("http", "hf.co", 80), None);
    }

    #[test]
    fn certificates_are_named_by_the_variables_of_others() {
        let named = |rows: &[(&str, &str)]| {
            let settings = Settings::from_variables(&table(rows), false).expect("settings");
            settings.certificates.map(|found| (found.path, found.from))
        };
        assert_eq!(named(&[("SSL_CERT_FILE", "")]), None);
        for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR"] {
            assert_eq!(named(&[(name, "/ca"), ("HOME", "/h")]), Some(("/ca".into(), name)));
        }
        let both = [("REQUESTS_CA_BUNDLE", "/b"), ("SSL_CERT_FILE", "/a")];
        assert_eq!(named(&both), Some(("/a".into(), "SSL_CERT_FILE")));
    }

    #[test]
    fn endpoint_and_offline_are_read() {
        let of = |rows: &[(&str, &str)]| Settings::from_variables(&table(rows), false);
        assert_eq!(of(&[]).expect("settings").endpoint, HUB);
        assert_eq!(
            of(&[("HF_ENDPOINT", "http://mirror:8/hf/")]).expect("settings").endpoint,
            "http://mirror:8/hf"
        );
        assert!(
            of(&[("HF_ENDPOINT", "mirror")]).expect_err("no address").to_string().contains("HF_ENDPOINT")
        );
        let error = of(&[("HF_ENDPOINT", "me:secret@mirror")]).expect_err("no address").to_string();
        assert!(error.contains("…@mirror") && !error.contains("secret"), "{error}");
        for (name, value, offline) in [
            ("CONNOTE_OFFLINE", "1", true),
            ("HF_HUB_OFFLINE", "Yes", true),
            ("HF_HUB_OFFLINE", "0", false),
            ("CONNOTE_OFFLINE", "", false),
        ] {
            assert_eq!(of(&[(name, value)]).expect("settings").offline, offline, "{name}={value}");
        }
        assert!(Settings::from_variables(&table(&[]), true).expect("settings").offline);
    }
}
