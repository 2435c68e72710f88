//! A process that forks, as Python's multiprocessing does, has an embedder without threads in the child.
#![cfg(target_os = "linux")]
#![allow(unsafe_code)] // std does not offer fork

use std::panic::{AssertUnwindSafe, catch_unwind};

use connote::{CancellationToken, Embedder, Request};
use testkit::tiny;

#[test]
fn a_forked_child_embeds_alone_and_ends() {
    let embedder = Embedder::builder().threads(2);
    let embedder =
        embedder.load(connote::Model::from_bytes(tiny::bert(1)).expect("a model")).expect("it loads");
    let texts: Vec<String> =
        (0..500).map(|at| ["a cat", "the dog", "b sat c"][at % 3].repeat(1 + at % 4)).collect();
    let wanted = embedder.embed(&texts).expect("vectors");
    // SAFETY: the child has this thread only. It uses the embedder and the allocator, which glibc and musl make ready in
    // the child, and leaves by `_exit`; the other threads of this binary sleep and hold no lock that it takes.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: sets a timer whose signal ends the child, should it hang.
        unsafe { libc::alarm(30) };
        let right = catch_unwind(AssertUnwindSafe(|| {
            let token = CancellationToken::new();
            let again = embedder.embed(Request::new(&texts).cancellation(&token)).expect("vectors");
            again == wanted && embedder.embed_one(texts[0].as_str()).expect("a vector") == wanted[0]
        }));
        drop(embedder);
        // SAFETY: ends the process; nothing of it is used afterwards.
        unsafe { libc::_exit(i32::from(!matches!(right, Ok(true)))) };
    }
    assert!(child > 0, "{}", std::io::Error::last_os_error());
    let mut status = 0;
    // SAFETY: `status` is a live int, and `child` is ours to wait for.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!((waited, status), (child, 0), "the child failed or hung");
    assert_eq!(embedder.embed(&texts).expect("vectors"), wanted, "the parent's embedder is as before");
}
