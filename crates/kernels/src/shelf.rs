//! Packed weights in a file, which all processes of a machine map: one copy in memory for all of them.
//!
//! A file has large pages, too, where the file system holds it in such pieces (Linux: ext4 and XFS of late, measured on 6.18): it is
//! written in blocks of some of them, and asked for. Elsewhere its pages are small, and products a fifth slower.
#![allow(unsafe_code)] // a named room: mapping, and mapped bytes as numbers

use std::fs::{self, File};
use std::io::{self, Write};
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use files::Unfinished;
use memmap2::Mmap;

use crate::large_pages::Plain;
use crate::quantize::BlockScale;
use crate::store::{Form, Store, Values};
use crate::weights::Weights;

/// What a file begins with; the last byte goes up when its form changes.
const MAGIC: &[u8; 8] = b"connote\x02";
/// What is written at once: the system keeps a file in memory in pieces that are no larger.
const BLOCK: usize = 4 << 20;
/// Values of a matrix begin cache lines.
const LINE: usize = 64;

/// A file of packed matrices, which are taken one after the other, in the order they were put in.
#[derive(Debug)]
pub struct Shelf {
    map: Arc<Mmap>,
    next: AtomicUsize,
}

impl Shelf {
    /// Maps a file that [`Shelf::write`] made under this key; `None` if there is none, or it is another's.
    pub fn open(path: &Path, key: &[u8; 32]) -> Option<Self> {
        let file = File::open(path).ok()?;
        // SAFETY: files of this kind are written aside, each by one thread alone, and linked here when they are whole; nobody
        // writes to them after.
        let map = unsafe { Mmap::map(&file) }.ok()?;
        // Advice: where it is not taken, pages stay small.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        let head = [MAGIC.as_slice(), key].concat();
        let whole = map.len().checked_sub(8).and_then(|end| read(&map, end)) == Some(map.len() - 8);
        (map.starts_with(&head) && whole)
            .then(|| Self { map: Arc::new(map), next: AtomicUsize::new(head.len()) })
    }

    /// Writes matrices to a file that is there when it is whole, unless one is there already.
    ///
    /// # Errors
    /// What the system says.
    pub fn write<'a>(
        path: &Path,
        key: &[u8; 32],
        matrices: impl Iterator<Item = &'a Weights>,
    ) -> io::Result<()> {
        fs::create_dir_all(files::folder_of(path))?;
        files::clear_left(path, files::SHARED);
        let unfinished = Unfinished::create(path)?;
        let mut out = Blocks { file: unfinished.file(), block: Vec::with_capacity(BLOCK), at: 0 };
        out.write_all(MAGIC)?;
        out.write_all(key)?;
        for matrix in matrices {
            put(&mut out, matrix.store())?;
        }
        let end = out.at as u64;
        out.write_all(&end.to_le_bytes())?;
        out.file.write_all(&out.block)?;
        unfinished.sync()?;
        // In nobody's place: who came first has his mapped already, and there is to be one copy.
        match unfinished.take_free_name() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            named => named,
        }
    }

    /// Whether all was taken.
    pub fn is_empty(&self) -> bool {
        self.next.load(Ordering::Relaxed) == self.map.len() - 8
    }

    /// Nothing more can be taken: it holds something else than what it should.
    pub(crate) fn refuse(&self) {
        self.next.store(usize::MAX, Ordering::Relaxed);
    }

    /// The next matrix's values, if they are of this form and number.
    pub(crate) fn take(&self, form: Form, values: usize, scales: usize) -> Option<Store> {
        let mut at = self.next.load(Ordering::Relaxed);
        let mut number = || {
            let number = read(&self.map, at);
            at = at.saturating_add(8);
            number
        };
        if number()? != code(form) || number()? != values || number()? != scales {
            return None;
        }
        let its_scales = self.map.get(at..at.checked_add(scales.checked_mul(8)?)?)?;
        let its_scales = its_scales.as_chunks().0.iter().map(|&bytes| scale_of(bytes)).collect();
        at = (at + scales * 8).checked_next_multiple_of(LINE)?;
        let end = at.checked_add(values.checked_mul(form.size())?)?;
        if end > self.map.len() {
            return None;
        }
        self.next.store(end, Ordering::Relaxed);
        let map = &self.map;
        Some(match form {
            Form::F32 => Store::of_f32(Mapped::new(map, at, values)),
            Form::I16 => Store::of_i16(Mapped::new(map, at, values), its_scales),
            Form::Bf16 | Form::Float16 => Store::of_u16(form, Mapped::new(map, at, values)),
        })
    }
}

/// Numbers of a mapped file.
pub(crate) struct Mapped<T> {
    map: Arc<Mmap>,
    /// Bytes before them; a multiple of [`LINE`].
    start: usize,
    len: usize,
    values: PhantomData<T>,
}

impl<T: Plain> Mapped<T> {
    fn new(map: &Arc<Mmap>, start: usize, len: usize) -> Self {
        assert!(start.is_multiple_of(LINE) && start + len * size_of::<T>() <= map.len(), "inside the file");
        Self { map: map.clone(), start, len, values: PhantomData }
    }
}

impl<T: Plain> std::ops::Deref for Mapped<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let first = self.map.as_ptr().wrapping_add(self.start).cast();
        // SAFETY: inside the map, as `new` asserts, which lives as long as we do and begins a page; any bits are values.
        unsafe { std::slice::from_raw_parts(first, self.len) }
    }
}

fn code(form: Form) -> usize {
    match form {
        Form::F32 => 0,
        Form::I16 => 1,
        Form::Bf16 => 2,
        Form::Float16 => 3,
    }
}

fn read(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
}

/// A scale and its crossed products, one after the other.
fn bytes_of(BlockScale { scale, crossed }: BlockScale) -> [u8; 8] {
    let ([a, b, c, d], [e, f, g, h]) = (scale.to_le_bytes(), crossed.to_le_bytes());
    [a, b, c, d, e, f, g, h]
}

/// The inverse of [`bytes_of`].
fn scale_of([a, b, c, d, e, f, g, h]: [u8; 8]) -> BlockScale {
    BlockScale { scale: f32::from_le_bytes([a, b, c, d]), crossed: i32::from_le_bytes([e, f, g, h]) }
}

/// A file that is written in whole blocks.
struct Blocks<'a> {
    file: &'a File,
    block: Vec<u8>,
    /// Bytes so far.
    at: usize,
}

impl Blocks<'_> {
    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len();
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(now);
            if self.block.len() == BLOCK {
                self.file.write_all(&self.block)?;
                self.block.clear();
            }
            bytes = later;
        }
        Ok(())
    }

    fn numbers<T: Copy, const N: usize>(
        &mut self,
        values: &[T],
        bytes: impl Fn(T) -> [u8; N],
    ) -> io::Result<()> {
        let mut block = Vec::with_capacity(1 << 16);
        for values in values.chunks(1 << 13) {
            block.clear();
            values.iter().for_each(|&value| block.extend(bytes(value)));
            self.write_all(&block)?;
        }
        Ok(())
    }
}

fn put(out: &mut Blocks<'_>, store: &Store) -> io::Result<()> {
    let values = store.all();
    let (count, scales) = match values {
        Values::F32(values) => (values.len(), &[][..]),
        Values::I16(values, scales) => (values.len(), scales),
        Values::Bf16(values) | Values::Float16(values) => (values.len(), &[][..]),
    };
    for number in [code(store.form()), count, scales.len()] {
        out.write_all(&(number as u64).to_le_bytes())?;
    }
    out.numbers(scales, bytes_of)?;
    let padding = out.at.next_multiple_of(LINE) - out.at;
    out.write_all(&[0; LINE][..padding])?;
    match values {
        // As the machine has them: a level is of one machine.
        Values::F32(values) => out.numbers(values, f32::to_ne_bytes),
        Values::I16(values, _) => out.numbers(values, i16::to_ne_bytes),
        Values::Bf16(values) | Values::Float16(values) => out.numbers(values, u16::to_ne_bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::time::SystemTime;

    use threads::Team;

    use super::*;
    use crate::{Kernels, Layout, Level, Order, Part};

    /// As two embedders of one process do that are opened at once.
    #[test]
    fn threads_that_write_one_file_at_once_leave_a_whole_one() {
        let kernels = Kernels::of(Level::Scalar).expect("every machine has it");
        let decode = |output: usize, row: &mut [f32]| row.fill(output as f32);
        let part = Part { outputs: 4096, decode: &decode, stored: None, bias: &[] };
        let weights = Weights::pack(kernels, &Team::new(1), Layout::F32, Order::Joined, 64, &[part]);
        let folder = tempfile::tempdir().expect("a folder");
        let (key, start) = ([7; 32], Barrier::new(2));
        for round in 0..20 {
            let path = folder.path().join(round.to_string());
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        start.wait();
                        Shelf::write(&path, &key, [&weights].into_iter()).expect("written");
                        let shelf = Shelf::open(&path, &key).expect("a whole file");
                        let store = shelf.take(Form::F32, 4096 * 64, 0).expect("the matrix");
                        let (Values::F32(read), Values::F32(own)) = (store.all(), weights.store().all())
                        else {
                            panic!("another layout")
                        };
                        assert!(read == own && shelf.is_empty());
                    });
                }
            });
        }
        let left = fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(left, 20, "nothing lies aside");
        // What a process left that was killed goes, after a while.
        let path = folder.path().join("0");
        fs::remove_file(&path).expect("a file");
        let old = File::create(folder.path().join("0.connote-1-0123abcd.part")).expect("created");
        old.set_modified(SystemTime::now() - 2 * files::SHARED).expect("another time");
        drop(old);
        Shelf::write(&path, &key, [&weights].into_iter()).expect("written");
        assert!(Shelf::open(&path, &key).is_some());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 20);
    }
}
