//! Addresses as messages may show them.

/// An address without what may be secret in it: name and password before the host, and the values of a query, by which a storage lets
/// in whoever has the address. Messages are pasted into public places.
pub(crate) fn shown(url: &str) -> String {
    let (scheme, rest) = match url.find("://") {
        Some(end) => url.split_at(end + 3),
        None => ("", url),
    };
    let (rest, query) = match rest.split_once(['?', '#']) {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    // A password that should have been encoded makes no address, and is one all the same: it may hold `/` or `?`.
    if !rest.contains('/') && query.is_some_and(|query| query.contains('@')) {
        return format!("{scheme}…");
    }
    let rest = match rest.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => rest.to_owned(),
    };
    let hidden = |pair: &str| match pair.split_once('=') {
        Some((name, _)) => format!("{name}=…"),
        None => "…".to_owned(),
    };
    match query {
        Some(query) => {
            format!("{scheme}{rest}?{}", query.split('&').map(hidden).collect::<Vec<_>>().join("&"))
        }
        None => format!("{scheme}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn names_passwords_and_values_are_hidden_and_nothing_else() {
        for (url, wanted) in [
            ("https://huggingface.co/org/repo", "https://huggingface.co/org/repo"),
            ("http://mirror:8/hf", "http://mirror:8/hf"),
            ("https://me:secret@mirror.example:8/hub", "https://…@mirror.example:8/hub"),
            ("http://secret@[::1]:80/a", "http://…@[::1]:80/a"),
            ("me:secret@mirror", "…@mirror"),
            ("http://me:se@c/ret@mirror/hf", "http://…@mirror/hf"),
            ("http://me:se?cret@mirror/hf", "http://…"),
            (
                "https://s3/b/c?X-Amz-Signature=5ec&Expires=9&secret",
                "https://s3/b/c?X-Amz-Signature=…&Expires=…&…",
            ),
            ("https://me:secret@s3/b?mail=a@b&sig=secret", "https://…@s3/b?mail=…&sig=…"),
            ("https://s3/b#token=secret", "https://s3/b?token=…"),
            ("", ""),
        ] {
            assert_eq!(shown(url), wanted);
        }
    }
}
