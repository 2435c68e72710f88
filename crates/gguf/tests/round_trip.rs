//! What the writer writes, the reader reads; and what the reader gives is what the file says.

mod raw;

use std::io::Write;
use std::sync::Arc;

use connote_gguf::{Array, Error, ErrorKind, Gguf, OwnedValue, TensorType, Value, ValueType, Writer};
use raw::Raw;

fn small() -> Gguf {
    Gguf::from_bytes(raw::small().to_bytes().expect("valid")).expect("it opens")
}

fn copy(gguf: &Gguf) -> Writer {
    let keys = gguf.metadata().iter().fold(Writer::new(), |writer, (key, value)| writer.metadata(key, value));
    gguf.tensors().fold(keys, |writer, tensor| {
        writer.tensor(tensor.name(), tensor.ty(), tensor.dims(), tensor.bytes().to_vec())
    })
}

#[test]
fn every_scalar() {
    let gguf = small();
    let get = |key| gguf.metadata().get(key).expect(key);
    assert_eq!(get("general.architecture"), Value::String(b"bert"));
    assert_eq!(get("a.u8"), Value::U8(200));
    assert_eq!(get("a.i8"), Value::I8(-100));
    assert_eq!(get("a.u16"), Value::U16(60_000));
    assert_eq!(get("a.i16"), Value::I16(-30_000));
    assert_eq!(get("a.u32"), Value::U32(4_000_000_000));
    assert_eq!(get("a.i32"), Value::I32(-2_000_000_000));
    assert_eq!(get("a.u64"), Value::U64(u64::MAX));
    assert_eq!(get("a.i64"), Value::I64(i64::MIN));
    assert_eq!(get("a.f32"), Value::F32(1.5));
    assert_eq!(get("a.f64"), Value::F64(-2.5e300));
    assert_eq!(get("a.bool"), Value::Bool(true));
    assert_eq!(get("a.string"), Value::String("Straße".as_bytes()));
    assert_eq!(get("a.bytes"), Value::String(&[0xff, 0, 0x80]));
    assert_eq!(gguf.metadata().get("a"), None);
    assert_eq!(gguf.metadata().get("a.u88"), None);
}

#[test]
fn every_array() {
    let gguf = small();
    let get = |key: &str| -> Array<'_> { gguf.metadata().array(key).expect("an array").expect("there") };
    for (key, element_type, wanted) in [
        ("a.u8s", ValueType::U8, vec![1, 255]),
        ("a.i8s", ValueType::I8, vec![-1, 127]),
        ("a.u16s", ValueType::U16, vec![1, 65535]),
        ("a.i16s", ValueType::I16, vec![-1, -32768]),
        ("a.u32s", ValueType::U32, vec![7, 8, u32::MAX.into()]),
        ("a.i32s", ValueType::I32, vec![-7, i32::MAX.into()]),
        ("a.u64s", ValueType::U64, vec![0, i64::MAX]),
        ("a.i64s", ValueType::I64, vec![i64::MIN, 3]),
    ] {
        let array = get(key);
        assert_eq!((array.element_type(), array.len()), (element_type, wanted.len()));
        assert_eq!(array.to_i64s(), Some(wanted.clone()), "{key}");
        assert_eq!(array.to_f32s(), Some(wanted.iter().map(|&v| v as f32).collect()), "{key}");
        assert!(array.bools().is_none() && array.strings().is_none());
    }
    assert_eq!(get("a.f32s").to_f32s(), Some(vec![0.25, f32::NEG_INFINITY]));
    assert_eq!(get("a.f64s").to_f32s(), Some(vec![0.1, f32::INFINITY]));
    assert_eq!(get("a.f64s").iter().last(), Some(Value::F64(1e300)));
    assert_eq!(get("a.bools").bools(), Some(vec![true, false, true]));
    let strings: Vec<&[u8]> = get("a.strings").strings().expect("strings").collect();
    assert_eq!(strings, [&b""[..], b"one", "zwölf".as_bytes()]);
    for key in ["a.f32s", "a.bools", "a.strings", "a.none"] {
        assert_eq!(get(key).to_i64s(), None, "{key}");
    }
    for key in ["a.bools", "a.strings", "a.none"] {
        assert_eq!(get(key).to_f32s(), None, "{key}");
    }
    assert!(
        get("a.none").is_empty()
            && get("a.none").strings().is_some_and(|mut strings| strings.next().is_none())
    );
}

#[test]
fn too_large_for_i64() {
    let file = Writer::new().metadata("a", vec![1u64, 1 << 63]).to_bytes().expect("valid");
    let gguf = Gguf::from_bytes(file).expect("it opens");
    let array = gguf.metadata().array("a").expect("an array").expect("there");
    assert_eq!(array.to_i64s(), None);
    assert_eq!(array.to_f32s(), Some(vec![1.0, 9.223372e18]));
}

#[test]
fn typed_reads_take_any_width_that_fits() {
    let gguf = small();
    let metadata = gguf.metadata();
    assert_eq!(metadata.u64("a.u8").expect("fits"), Some(200));
    assert_eq!(metadata.u32("a.u16").expect("fits"), Some(60_000));
    assert_eq!(metadata.usize("a.u32").expect("fits"), Some(4_000_000_000));
    assert_eq!(metadata.i64("a.i8").expect("fits"), Some(-100));
    assert_eq!(metadata.i64("a.u32").expect("fits"), Some(4_000_000_000));
    assert_eq!(metadata.f32("a.f32").expect("fits"), Some(1.5));
    assert_eq!(metadata.bool("a.bool").expect("a flag"), Some(true));
    assert_eq!(metadata.str("a.string").expect("a text"), Some("Straße"));
    assert_eq!(metadata.u64("absent").expect("no error"), None);
    assert_eq!(metadata.str("absent").expect("no error"), None);
    for (error, says) in [
        (metadata.u32("a.i8").expect_err("negative"), "\"a.i8\" is -100, which does not fit u32"),
        (metadata.u32("a.u64").expect_err("too large"), "does not fit u32"),
        (metadata.i64("a.u64").expect_err("too large"), "does not fit i64"),
        (metadata.u64("a.f32").expect_err("no integer"), "\"a.f32\" is of type f32, but u64 is wanted"),
        (metadata.u64("a.bool").expect_err("no integer"), "of type bool"),
        (metadata.f32("a.f64").expect_err("too large"), "does not fit f32"),
        (metadata.f32("a.u8").expect_err("no float"), "of type u8, but f32"),
        (metadata.bool("a.u8").expect_err("no flag"), "of type u8, but bool"),
        (metadata.str("a.bytes").expect_err("not UTF-8"), "not UTF-8 from its byte 0"),
        (metadata.str("a.strings").expect_err("many"), "of type array, but string"),
        (metadata.array("a.string").expect_err("one"), "of type string, but array"),
    ] {
        assert_eq!(error.kind(), ErrorKind::WrongType);
        assert!(error.to_string().contains(says), "{error} should say {says}");
    }
}

#[test]
fn values_are_shown_short() {
    let gguf = small();
    let show = |key| gguf.metadata().get(key).expect(key).to_string();
    assert_eq!(show("a.f32"), "1.5");
    assert_eq!(show("a.string"), "\"Straße\"");
    assert_eq!(show("a.strings"), "[\"\", \"one\", \"zwölf\"]");
    assert_eq!(show("a.none"), "[]");
    let long = Writer::new().metadata("a", (0..100u32).collect::<Vec<_>>()).to_bytes().expect("valid");
    let long = Gguf::from_bytes(long).expect("it opens");
    assert_eq!(long.metadata().get("a").expect("a").to_string(), "[0, 1, 2, 3, 4, 5, 6, 7, ... 100 in all]");
}

#[test]
fn a_copy_is_the_same_file() {
    let bytes = raw::small().alignment(64).to_bytes().expect("valid");
    let gguf = Gguf::from_bytes(bytes.clone()).expect("it opens");
    assert_eq!(copy(&gguf).to_bytes().expect("valid"), bytes);
    let keys: Vec<&str> = gguf.metadata().iter().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), gguf.metadata().len());
    assert_eq!(
        (keys[0], keys[1], keys[keys.len() - 1]),
        ("general.architecture", "a.u8", "general.alignment")
    );
    assert_eq!(OwnedValue::from(Value::Bool(true)), OwnedValue::from(true));
    assert_eq!(OwnedValue::from(vec![1u8]).value_type(), ValueType::Array);
}

#[test]
fn tensors_in_file_order() {
    let gguf = small();
    let names: Vec<&str> = gguf.tensors().map(|tensor| tensor.name()).collect();
    assert_eq!(names, ["scalar", "vector", "empty", "matrix", "cube"]);
    assert_eq!(gguf.tensors().len(), 5);
    let cube = gguf.tensor("cube").expect("there");
    assert_eq!(
        (cube.index(), cube.ty(), cube.dims(), cube.elements()),
        (4, TensorType::F32, &[2, 2, 1, 2][..], 8)
    );
    assert_eq!(cube.bytes(), (0..32).collect::<Vec<u8>>());
    assert_eq!(cube.file_range().end as usize, gguf.shards().next().map_or(0, |shard| shard.len()));
    let scalar = gguf.tensor("scalar").expect("there");
    assert_eq!((scalar.dims(), scalar.elements(), scalar.bytes()), (&[][..], 1, &[1, 2, 3, 4][..]));
    assert!(gguf.tensor("empty").is_some_and(|tensor| tensor.bytes().is_empty() && tensor.elements() == 0));
    assert!(gguf.tensor("").is_none() && gguf.tensor("cub").is_none());
}

#[test]
#[should_panic(expected = "tensor 5 of 5")]
fn a_tensor_index_out_of_range_panics_as_documented() {
    let _ = small().tensor_at(5);
}

#[test]
fn every_tensor_type() {
    let rows = 3;
    let writer = TensorType::ALL.iter().fold(Writer::new(), |writer, &ty| {
        let data = vec![ty.id() as u8; ty.block_bytes() * 2 * rows];
        writer.tensor(ty.name(), ty, &[2 * ty.block_elements() as u64, rows as u64], data)
    });
    let gguf = Gguf::from_bytes(writer.to_bytes().expect("valid")).expect("it opens");
    assert_eq!(gguf.tensors().len(), 35);
    for tensor in gguf.tensors() {
        let ty = tensor.ty();
        assert_eq!(tensor.name(), ty.to_string());
        assert_eq!(ty.row_bytes(tensor.dims()[0]), Some(tensor.bytes().len() as u64 / rows as u64));
        assert!(tensor.bytes().iter().all(|&byte| u32::from(byte) == ty.id()));
    }
}

#[test]
fn alignments() {
    for alignment in [1u32, 8, 32, 64, 4096] {
        let bytes = raw::small().alignment(alignment).to_bytes().expect("valid");
        assert_eq!(bytes.len() % alignment as usize, 0);
        let gguf = Gguf::from_bytes(bytes).expect("it opens");
        assert_eq!(gguf.alignment(), u64::from(alignment));
        for (tensor, same) in gguf.tensors().zip(small().tensors()) {
            assert_eq!(tensor.file_range().start % u64::from(alignment), 0);
            assert_eq!(tensor.bytes(), same.bytes());
        }
    }
    assert_eq!(small().alignment(), 32);
}

#[test]
fn both_versions() {
    for version in [2, 3] {
        let gguf = Raw { version, ..Raw::new() }.key(b"k", 4, &[1, 0, 0, 0]).open().expect("it opens");
        assert_eq!((gguf.version(), gguf.metadata().u32("k").expect("a number")), (version, Some(1)));
    }
}

/// Bytes built into a program lie anywhere.
#[test]
fn bytes_of_any_owner_and_alignment() {
    let file = raw::small().to_bytes().expect("valid");
    let sum = raw::touch(&small());
    for shift in 0..9 {
        let shifted: &'static [u8] = Vec::leak([&vec![0; shift][..], &file].concat());
        assert_eq!(raw::touch(&Gguf::from_bytes(&shifted[shift..]).expect("it opens")), sum);
    }
    assert_eq!(raw::touch(&Gguf::from_bytes(Arc::<[u8]>::from(file)).expect("it opens")), sum);
    assert!(Gguf::from_bytes(b"GGUF").is_err());
}

#[test]
fn clones_are_shared_between_threads() {
    let gguf = small();
    let sum = raw::touch(&gguf);
    let threads = [gguf.clone(), gguf].map(|gguf| std::thread::spawn(move || raw::touch(&gguf)));
    for thread in threads {
        assert_eq!(thread.join().expect("no panic"), sum);
    }
}

/// A disk that is full is an error, not a short file.
#[test]
fn a_writer_that_fails() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let room = self.0.min(bytes.len());
            self.0 -= room;
            if room == 0 && !bytes.is_empty() { Err(std::io::Error::other("full")) } else { Ok(room) }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let length = raw::small().to_bytes().expect("valid").len();
    raw::small().write_to(&mut Full(length)).expect("it fits");
    for room in [0, 100, length - 1] {
        let error = raw::small().write_to(&mut Full(room)).expect_err("full");
        assert_eq!(error.kind(), ErrorKind::Io);
    }
}

/// What is streamed is what is held, and a source that gives too much or too little is found.
#[test]
fn announced_tensors_are_asked_for() {
    let held = Writer::new()
        .metadata("general.architecture", "bert")
        .tensor("a", TensorType::F32, &[3], vec![1; 12])
        .tensor("b", TensorType::Q8_0, &[32, 2], vec![2; 68])
        .tensor("c", TensorType::F16, &[5], vec![3; 10]);
    let streamed = Writer::new()
        .metadata("general.architecture", "bert")
        .announce("a", TensorType::F32, &[3])
        .tensor("b", TensorType::Q8_0, &[32, 2], vec![2; 68])
        .announce("c", TensorType::F16, &[5]);
    let mut bytes = Vec::new();
    let mut asked = Vec::new();
    let give = |index: usize, out: &mut dyn Write| -> Result<(), Error> {
        asked.push(index);
        for _ in 0..[12, 0, 10][index] {
            out.write_all(&[index as u8 + 1]).expect("memory takes all");
        }
        Ok(())
    };
    streamed.write_streamed(&mut bytes, give).unwrap();
    assert_eq!(bytes, held.to_bytes().unwrap());
    assert_eq!(asked, [0, 2]);

    for wrong in [9, 11] {
        let give = |index: usize, out: &mut dyn Write| -> Result<(), Error> {
            out.write_all(&vec![0; if index == 0 { 12 } else { wrong }]).expect("memory takes all");
            Ok(())
        };
        let error = streamed.write_streamed(&mut Vec::new(), give).unwrap_err();
        assert_eq!(error.to_string(), format!("tensor \"c\" takes 10 bytes, and {wrong} were given"));
    }
    let error = streamed.to_bytes().unwrap_err();
    assert_eq!(error.to_string(), "tensor \"a\" was announced and has no data; `write_streamed` asks for it");
}
