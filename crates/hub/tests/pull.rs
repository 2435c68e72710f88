//! Pulling from a server that plays the hub.

mod fake_hub;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(feature = "tls")]
use connote_hub::Certificates;
use connote_hub::{Cache, Error, ErrorKind, Event, ModelName, Proxies, Pulled, Settings};
use fake_hub::{COMMIT, FakeHub, Fault, sha256};
use tempfile::TempDir;

/// A hub, a cache, and how the one comes into the other.
struct Scene {
    hub: FakeHub,
    cache: Cache,
    settings: Settings,
    /// What was told.
    told: Vec<String>,
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let hub = FakeHub::start();
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(folder.path().join("hub"));
        let endpoint = hub.endpoint.clone();
        let mut settings = Settings::from_variables(
            &move |name| (name == "HF_ENDPOINT").then(|| endpoint.clone().into()),
            false,
        )
        .expect("settings");
        settings.first_wait = Duration::from_millis(5);
        Self { hub, cache, settings, told: Vec::new(), folder }
    }

    /// With one model of a megabyte.
    fn with_model() -> (Self, Vec<u8>) {
        let scene = Self::new();
        let content = content(1 << 20);
        scene.hub.put("org/repo", "m-Q8_0.gguf", &content);
        (scene, content)
    }

    fn pull(&mut self, name: &str) -> Result<Pulled, Error> {
        self.pull_with(name, false)
    }

    fn pull_with(&mut self, name: &str, verify: bool) -> Result<Pulled, Error> {
        self.told.clear();
        let told = &mut self.told;
        connote_hub::pull(&self.settings, &self.cache, &name.parse().expect("a name"), verify, &mut |event| {
            match event {
                Event::Came { .. } => {}
                event => told.push(format!("{event:?}")),
            }
        })
    }

    fn refused(&mut self, name: &str, kind: ErrorKind, why: &str) {
        let error = self.pull(name).expect_err(name);
        assert!(error.kind() == kind && error.to_string().contains(why), "{name}: {error}");
        assert!(!error.to_string().contains('\n'), "one line: {error}");
        let name: ModelName = name.parse().expect("a name");
        assert_eq!(self.cache.find(&name), Ok(None), "nothing of it can be found");
    }

    fn blobs(&self) -> PathBuf {
        self.cache.folder().join("models--org--repo/blobs")
    }

    fn heard(&self, what: &str) -> usize {
        self.told.iter().filter(|told| told.starts_with(what)).count()
    }
}

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n * 31 + n / 251) as u8).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_model_comes_into_the_cache_in_the_form_of_the_hugging_face_libraries() {
    let (mut scene, content) = Scene::with_model();
    scene.hub.put("org/repo", "README.md", b"read me");
    let pulled = scene.pull("org/repo").expect("pulled");
    let file = &pulled.files[0];
    assert_eq!((pulled.commit.as_str(), file.file.as_str(), file.was_here), (COMMIT, "m-Q8_0.gguf", false));
    assert_eq!(file.sha256.as_deref(), Some(sha256(&content).as_str()));
    assert_eq!(fs::read(&file.path).expect("the file"), content);
    let repo = scene.cache.folder().join("models--org--repo");
    assert_eq!(file.path, repo.join("snapshots").join(COMMIT).join("m-Q8_0.gguf"));
    assert_eq!(fs::read_link(&file.path).expect("a link"), Path::new("../../blobs").join(sha256(&content)));
    assert_eq!(fs::read_to_string(repo.join("refs/main")).expect("the ref"), COMMIT);
    assert_eq!(names(&scene.blobs()), [sha256(&content)]);
    assert!(
        scene
            .cache
            .folder()
            .join(".locks/models--org--repo")
            .join(format!("{}.lock", sha256(&content)))
            .exists()
    );
    // It is found without the network, and not fetched again.
    let found = scene.cache.find(&"org/repo:Q8_0".parse().expect("a name")).expect("one").expect("found");
    assert_eq!(found.paths, std::slice::from_ref(&file.path));
    let requests = scene.hub.requests().iter().filter(|request| request.to_storage).count();
    assert!(scene.pull("org/repo").expect("again").files[0].was_here);
    assert_eq!(scene.hub.requests().iter().filter(|request| request.to_storage).count(), requests);
    assert_eq!(scene.heard("Here"), 1);
}

#[test]
fn all_parts_of_a_split_model_come_from_one_commit() {
    let mut scene = Scene::new();
    for part in 1..=3 {
        scene.hub.put("org/repo", &format!("big/m-F16-0000{part}-of-00003.gguf"), &content(1000 + part));
    }
    let pulled = scene.pull("org/repo/big/m-F16-00002-of-00003.gguf").expect("pulled");
    assert_eq!(pulled.files.len(), 3);
    for (part, file) in pulled.files.iter().enumerate() {
        assert_eq!(fs::read(&file.path).expect("the part"), content(1001 + part));
        assert!(fs::read_link(&file.path).expect("a link").starts_with("../../../blobs"));
    }
    let found = scene.cache.find(&"org/repo:F16".parse().expect("a name")).expect("one").expect("found");
    assert_eq!(found.paths, pulled.files.iter().map(|file| file.path.clone()).collect::<Vec<_>>());
    // A part that fails: what is complete stays, and the model is not there.
    let mut scene = Scene::new();
    scene.hub.put("org/repo", "m-00001-of-00002.gguf", &content(10));
    scene.refused(
        "org/repo/m-00001-of-00002.gguf",
        ErrorKind::NotFound,
        "m-00002-of-00002.gguf: there is no such file",
    );
}

#[test]
fn a_cut_connection_is_taken_up_where_it_broke() {
    let (mut scene, content) = Scene::with_model();
    for after in [300_000, 0, 100_000] {
        scene.hub.fail(Fault::Cut(after));
    }
    // Listing and headers are asked first, and are no content: the faults wait for that.
    let pulled = scene.pull("org/repo").expect("pulled");
    assert_eq!(fs::read(&pulled.files[0].path).expect("the file"), content);
    assert_eq!(scene.heard("Again"), 3);
    let ranges: Vec<String> = scene
        .hub
        .requests()
        .iter()
        .filter(|request| request.to_storage)
        .map(|request| request.headers.get("range").cloned().unwrap_or_default())
        .collect();
    assert_eq!(ranges, ["", "bytes=300000-", "bytes=300000-", "bytes=400000-"]);
}

#[test]
fn a_run_that_was_killed_is_gone_on_with() {
    let (mut scene, content) = Scene::with_model();
    fs::create_dir_all(scene.blobs()).expect("a folder");
    let incomplete = scene.blobs().join(format!("{}.incomplete", sha256(&content)));
    fs::write(&incomplete, &content[..700_000]).expect("written");
    let pulled = scene.pull("org/repo").expect("pulled");
    assert_eq!(fs::read(&pulled.files[0].path).expect("the file"), content);
    assert!(scene.told.iter().any(|told| told.contains("had: 700000")), "{:?}", scene.told);
    assert_eq!(names(&scene.blobs()), [sha256(&content)], "nothing is left over");
}

#[test]
fn what_another_left_is_not_trusted_and_costs_only_time() {
    let (mut scene, content) = Scene::with_model();
    fs::create_dir_all(scene.blobs()).expect("a folder");
    let incomplete = scene.blobs().join(format!("{}.incomplete", sha256(&content)));
    for left in [vec![0; 700_000], vec![0; 2 << 20], vec![0; 1 << 20]] {
        fs::write(&incomplete, &left).expect("written");
        let pulled = scene.pull("org/repo").expect("pulled");
        assert_eq!(fs::read(&pulled.files[0].path).expect("the file"), content);
        fs::remove_file(scene.blobs().join(sha256(&content))).expect("removed");
    }
}

#[test]
fn a_server_without_ranges_begins_again() {
    let (mut scene, content) = Scene::with_model();
    scene.hub.fail(Fault::Cut(300_000));
    scene.hub.fail(Fault::NoRange);
    let pulled = scene.pull("org/repo").expect("pulled");
    assert_eq!(fs::read(&pulled.files[0].path).expect("the file"), content);
}

#[test]
fn a_wrong_hash_names_both_and_leaves_nothing() {
    let (mut scene, content) = Scene::with_model();
    scene.hub.fail(Fault::Altered);
    let mut altered = content.clone();
    altered[0] ^= 1;
    let why = format!("has SHA-256 {}, the hub says {}", sha256(&altered), sha256(&content));
    scene.refused("org/repo", ErrorKind::Checksum, &why);
    assert_eq!(names(&scene.blobs()), Vec::<String>::new());
    scene.pull("org/repo").expect("the next time it is right");
}

#[test]
fn what_lies_in_the_cache_is_compared_when_asked() {
    let (mut scene, content) = Scene::with_model();
    let path = scene.pull("org/repo").expect("pulled").files[0].path.clone();
    let mut damaged = content.clone();
    damaged[5] ^= 1;
    fs::write(&path, &damaged).expect("written through the link");
    assert!(scene.pull("org/repo").expect("not looked at").files[0].was_here);
    assert!(!scene.pull_with("org/repo", true).expect("fetched anew").files[0].was_here);
    assert_eq!(fs::read(&path).expect("the file"), content);
    assert!(scene.pull_with("org/repo", true).expect("right").files[0].was_here);
}

#[test]
fn a_hub_that_is_busy_is_asked_again_when_it_says() {
    let (mut scene, _) = Scene::with_model();
    scene.hub.fail(Fault::Status(429, &[("Retry-After", "1")]));
    scene.hub.fail(Fault::Status(503, &[]));
    scene.pull("org/repo").expect("pulled");
    assert!(scene.told[0].contains("429") && scene.told[0].contains("wait: 1s"), "{:?}", scene.told);
    assert!(scene.told[1].contains("503") && scene.told[1].contains("wait: 10ms"), "{:?}", scene.told);
    // One that wants a long time is not waited for.
    scene.hub.fail(Fault::Status(429, &[("Retry-After", "4000")]));
    let error = scene.pull("org/repo").expect_err("later");
    assert!(error.to_string().contains("4000 s"), "{error}");
    // Nor one that never gets better.
    for _ in 0..5 {
        scene.hub.fail(Fault::Status(500, &[]));
    }
    let error = scene.pull("org/repo").expect_err("broken");
    assert!(error.kind() == ErrorKind::Network && error.to_string().contains("5 times in a row"), "{error}");
}

#[test]
fn silence_is_a_cut_connection() {
    let (mut scene, content) = Scene::with_model();
    scene.settings.patience = Duration::from_millis(300);
    scene.hub.fail(Fault::Stall(400_000, Duration::from_secs(5)));
    let pulled = scene.pull("org/repo").expect("pulled");
    assert_eq!(fs::read(&pulled.files[0].path).expect("the file"), content);
    assert_eq!(scene.heard("Again"), 1, "{:?}", scene.told);
}

#[test]
fn refusals_say_what_to_do() {
    let (mut scene, _) = Scene::with_model();
    scene.refused("org/other", ErrorKind::NotFound, "no such model");
    scene.refused("org/repo@v9", ErrorKind::NotFound, "no such revision");
    scene.refused("org/repo/x.gguf", ErrorKind::NotFound, "no such file");
    scene.refused("org/repo:F16", ErrorKind::NotFound, "there are m-Q8_0.gguf");
    scene.hub.put("org/repo", "n-Q8_0.gguf", b"x");
    scene.refused("org/repo:*Q8_0*.gguf", ErrorKind::Ambiguous, "m-Q8_0.gguf, n-Q8_0.gguf; name one");
    scene.hub.state().gated = true;
    scene.refused("org/repo:Q8_0", ErrorKind::Denied, "accept its licence, then make a token");
    scene.hub.state().gated = false;
    scene.hub.state().token = Some("hf_right".to_owned());
    scene.refused("org/repo:Q8_0", ErrorKind::Denied, "set HF_TOKEN to it");
    scene.settings = with_token(&scene, "hf_wrong");
    scene.refused("org/repo:Q8_0", ErrorKind::Denied, "the token in HF_TOKEN may be wrong");
}

fn with_token(scene: &Scene, token: &str) -> Settings {
    let endpoint = scene.settings.endpoint.clone();
    let get = |name: &str| match name {
        "HF_ENDPOINT" => Some(endpoint.clone().into()),
        "HF_TOKEN" => Some(token.into()),
        _ => None,
    };
    Settings::from_variables(&get, false).expect("settings")
}

#[test]
fn the_token_goes_to_the_endpoint_and_to_nobody_else() {
    let (mut scene, _) = Scene::with_model();
    scene.hub.state().token = Some("hf_right".to_owned());
    scene.settings = with_token(&scene, "hf_right");
    scene.pull("org/repo").expect("pulled");
    for request in scene.hub.requests() {
        let sent = request.headers.get("authorization").map(String::as_str);
        assert_eq!(sent, (!request.to_storage).then_some("Bearer hf_right"), "{request:?}");
        assert_eq!(request.headers["accept-encoding"], "identity");
    }
    assert!(scene.hub.requests().iter().any(|request| request.to_storage));
}

#[test]
fn a_renamed_repository_is_followed() {
    let (mut scene, content) = Scene::with_model();
    scene.hub.state().renamed.insert("old/name".to_owned(), "org/repo".to_owned());
    let pulled = scene.pull("old/name:Q8_0").expect("pulled");
    assert_eq!(fs::read(&pulled.files[0].path).expect("the file"), content);
    assert!(scene.cache.find(&"old/name".parse().expect("a name")).expect("one").is_some());
}

#[test]
fn a_file_in_git_is_compared_with_gits_hash() {
    let mut scene = Scene::new();
    scene.hub.put("org/repo", "tiny.gguf", b"tiny");
    scene.hub.state().in_git.push("tiny.gguf".to_owned());
    scene.hub.fail_content(Fault::Altered);
    scene.refused("org/repo", ErrorKind::Checksum, "git hash");
    assert_eq!(names(&scene.blobs()), [""; 0], "what is wrong does not stay");
    let pulled = scene.pull("org/repo").expect("pulled");
    assert_eq!(pulled.files[0].sha256, None);
    assert_eq!(scene.heard("Done { file: \"tiny.gguf\", checked: true"), 1);
    assert_eq!(fs::read(&pulled.files[0].path).expect("the file"), b"tiny");
    // As long, but wrong.
    fs::write(&pulled.files[0].path, b"TINY").expect("through the link");
    assert!(scene.pull("org/repo").expect("here").files[0].was_here);
    assert!(!scene.pull_with("org/repo", true).expect("anew").files[0].was_here);
    assert_eq!(fs::read(&pulled.files[0].path).expect("the file"), b"tiny");
}

#[test]
fn nothing_is_asked_for_that_has_no_room() {
    let (mut scene, _) = Scene::with_model();
    scene.hub.state().told_size = Some(1 << 60);
    scene.refused("org/repo", ErrorKind::Disk, "make room");
    assert!(scene.hub.requests().iter().all(|request| !request.to_storage));
}

#[test]
fn offline_and_https_without_tls_open_no_socket() {
    let (mut scene, _) = Scene::with_model();
    scene.settings.offline = true;
    scene.refused("org/repo", ErrorKind::Offline, "offline");
    assert_eq!(scene.hub.state().connections, 0);
    #[cfg(not(feature = "tls"))]
    {
        scene.settings.offline = false;
        scene.settings.endpoint = scene.settings.endpoint.replace("http:", "https:");
        scene.refused("org/repo", ErrorKind::NoTls, "--features hub");
        assert_eq!(scene.hub.state().connections, 0);
    }
}

/// A certificate that nobody trusts, or none at all, is an error and no hang. The server here speaks no TLS.
#[cfg(feature = "tls")]
#[test]
fn https_is_spoken_where_it_is_built_in() {
    let (mut scene, _) = Scene::with_model();
    scene.settings.endpoint = scene.settings.endpoint.replace("http:", "https:");
    scene.settings.attempts = 1;
    scene.refused("org/repo", ErrorKind::Network, "https://127.0.0.1");
    assert_eq!(scene.hub.state().connections, 1);
    scene.settings.certificates = Some(Certificates { path: "/nowhere.pem".into(), from: "SSL_CERT_FILE" });
    scene.refused("org/repo", ErrorKind::Disk, "/nowhere.pem");
}

#[test]
fn a_proxy_is_asked_unless_the_host_needs_none() {
    let (mut scene, _) = Scene::with_model();
    scene.settings.attempts = 1;
    let proxy = FakeHub::start();
    scene.settings.proxies = Proxies { http: Some(proxy.endpoint.clone()), ..Proxies::default() };
    assert_eq!(scene.pull("org/repo").expect_err("it is none").kind(), ErrorKind::Network);
    assert_eq!(proxy.requests()[0].method, "CONNECT");
    assert_eq!(scene.hub.state().connections, 0);
    scene.settings.proxies.none_for = vec!["127.0.0.1".to_owned()];
    scene.pull("org/repo").expect("directly");
}

#[test]
fn two_that_want_the_same_fetch_it_once() {
    let (scene, content) = Scene::with_model();
    scene.hub.fail(Fault::Stall(400_000, Duration::from_millis(600)));
    let mut settings = scene.settings.clone();
    settings.patience = Duration::from_secs(5);
    let waited: usize = std::thread::scope(|scope| {
        let run = || {
            let mut waited = 0;
            let name = "org/repo".parse().expect("a name");
            let pulled = connote_hub::pull(&settings, &scene.cache, &name, false, &mut |event| {
                waited += usize::from(matches!(event, Event::Waiting { .. }));
            });
            assert_eq!(fs::read(&pulled.expect("pulled").files[0].path).expect("the file"), content);
            waited
        };
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(waited, 1);
    let requests = scene.hub.requests();
    let whole = requests
        .iter()
        .filter(|request| request.to_storage && !request.headers.contains_key("range"))
        .count();
    assert_eq!(whole, 1);
}

/// A hub may be hostile: nothing it says becomes a path outside the cache.
#[test]
fn names_from_the_hub_stay_in_the_cache() {
    let mut scene = Scene::new();
    scene.hub.put("org/repo", "../../../evil-Q8_0.gguf", b"x");
    let error = scene.pull("org/repo").expect_err("refused");
    assert!(error.to_string().contains("no name for a file here"), "{error}");
    assert!(!scene.cache.folder().exists());
}

/// Nor does an etag, which becomes the name of a file, or a commit, which becomes that of a folder.
#[test]
fn etags_and_commits_from_the_hub_stay_in_the_cache() {
    let long = "a".repeat(129);
    let hostile = ["../../../evil", "..", ".", "", ".hidden", "a/b", "/etc/evil", &long];
    for etag in hostile {
        for in_git in [false, true] {
            let (mut scene, _) = Scene::with_model();
            if in_git {
                scene.hub.state().in_git.push("m-Q8_0.gguf".to_owned());
            }
            scene.hub.state().told_etag = Some(etag.to_owned());
            scene.refused("org/repo", ErrorKind::Network, "the answer has no ETag");
            assert_eq!(names(scene.folder.path()), [""; 0], "{etag}");
        }
    }
    let long = COMMIT.repeat(2);
    for commit in ["../../../evil", "..", "", "main", "abc", "0123456789/..", &long] {
        // The listing says it, and the headers of the file.
        for name in ["org/repo", "org/repo/m-Q8_0.gguf"] {
            let (mut scene, _) = Scene::with_model();
            scene.hub.state().told_commit = Some(commit.to_owned());
            scene.refused(name, ErrorKind::Network, "is no commit");
            assert_eq!(names(scene.folder.path()), [""; 0], "{commit}");
        }
    }
}

/// A mirror's own etag says nothing of the content.
#[test]
fn what_cannot_be_compared_is_said() {
    let (mut scene, content) = Scene::with_model();
    scene.hub.state().told_etag = Some("17".to_owned());
    scene.pull("org/repo").expect("pulled");
    scene.pull("org/repo").expect("nobody asked");
    assert_eq!(scene.heard("NotCompared"), 0);
    assert!(scene.pull_with("org/repo", true).expect("here").files[0].was_here);
    assert_eq!(scene.heard("NotCompared { file: \"m-Q8_0.gguf\" }"), 1);
    // What has another size is fetched anew, and then there was nothing to compare.
    fs::write(scene.blobs().join("17"), &content[1..]).expect("written");
    assert!(!scene.pull_with("org/repo", true).expect("anew").files[0].was_here);
    assert_eq!(scene.heard("NotCompared"), 0);
    // A hash can be.
    scene.hub.state().told_etag = None;
    scene.pull("org/repo").expect("pulled");
    scene.pull_with("org/repo", true).expect("here");
    assert_eq!(scene.heard("NotCompared"), 0);
}

/// Messages are pasted into public places.
#[test]
fn passwords_and_signatures_are_in_no_message() {
    let (mut scene, _) = Scene::with_model();
    scene.settings.endpoint = scene.settings.endpoint.replace("http://", "http://me:secret@");
    scene.settings.attempts = 2;
    scene.hub.state().storage_query = Some("X-Amz-Signature=secret&Expires=9".to_owned());
    scene.pull("org/repo:Q8_0").expect("the password does no harm");
    fs::remove_dir_all(scene.cache.folder()).expect("removed");
    let said = |scene: &mut Scene, name: &str, shown: &str| {
        let error = scene.pull(name).expect_err(shown).to_string();
        for message in scene.told.iter().chain([&error]) {
            assert!(!message.contains("secret"), "{message}");
        }
        assert!(error.contains(shown), "{error}");
    };
    for status in [500, 418, 401, 403] {
        for _ in 0..scene.settings.attempts {
            scene.hub.fail(Fault::Status(status, &[]));
        }
        said(&mut scene, "org/repo", "http://…@127.0.0.1");
        scene.hub.state().faults.clear();
    }
    scene.hub.fail(Fault::Status(302, &[]));
    said(&mut scene, "org/repo", "leads nowhere");
    scene.hub.fail(Fault::Status(302, &[("Location", "http://me:secret@[::1/x")]));
    said(&mut scene, "org/repo", "http://…@[::1/x: is no address");
    said(&mut scene, "org/other", "http://…@127.0.0.1");
    scene.hub.state().told_commit = Some("x".to_owned());
    said(&mut scene, "org/repo", "http://…@127.0.0.1");
    scene.hub.state().told_commit = None;
    scene.hub.state().told_etag = Some("..".to_owned());
    said(&mut scene, "org/repo", "http://…@127.0.0.1");
    scene.hub.state().told_etag = None;
    // The storage's addresses are as good as passwords while they last.
    scene.hub.state().storage_status = Some(418);
    said(&mut scene, "org/repo", "?X-Amz-Signature=…&Expires=…: the answer is 418");
    scene.hub.state().storage_status = Some(500);
    said(&mut scene, "org/repo", "the hub answers 500");
    let name = "org/repo/m-Q8_0.gguf".parse().expect("a name");
    assert!(connote_hub::address(&scene.settings, &name).starts_with("http://…@127.0.0.1"));
    // Nobody listens there.
    scene.settings.endpoint = "http://me:secret@127.0.0.1:1".to_owned();
    said(&mut scene, "org/repo", "http://…@127.0.0.1:1/");
    #[cfg(not(feature = "tls"))]
    {
        scene.settings.endpoint = "https://me:secret@127.0.0.1".to_owned();
        said(&mut scene, "org/repo", "https://…@127.0.0.1/");
    }
}
