//! Files written by hand, so that they may be wrong in any way.
#![allow(dead_code)] // Each test binary uses its own part of this.

use connote_gguf::{Error, Gguf, TensorType, Writer};

/// The head of a file, field by field, as the format has them.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    pub(crate) magic: [u8; 4],
    pub(crate) version: u32,
    pub(crate) tensor_count: u64,
    pub(crate) key_count: u64,
    pub(crate) keys: Vec<u8>,
    pub(crate) tensors: Vec<u8>,
    pub(crate) alignment: usize,
    pub(crate) data: Vec<u8>,
}

impl Raw {
    /// A valid file with nothing in it.
    pub(crate) fn new() -> Raw {
        Raw {
            magic: *b"GGUF",
            version: 3,
            tensor_count: 0,
            key_count: 0,
            keys: Vec::new(),
            tensors: Vec::new(),
            alignment: 32,
            data: Vec::new(),
        }
    }

    /// A key with any bytes as its value.
    pub(crate) fn key(mut self, name: &[u8], value_type: u32, value: &[u8]) -> Raw {
        self.key_count += 1;
        self.keys.extend(string(name));
        self.keys.extend(value_type.to_le_bytes());
        self.keys.extend(value);
        self
    }

    /// A tensor's entry in the table.
    pub(crate) fn tensor(mut self, name: &[u8], dims: &[u64], ty: u32, offset: u64) -> Raw {
        self.tensor_count += 1;
        self.tensors.extend(string(name));
        self.tensors.extend((dims.len() as u32).to_le_bytes());
        dims.iter().for_each(|dim| self.tensors.extend(dim.to_le_bytes()));
        self.tensors.extend(ty.to_le_bytes());
        self.tensors.extend(offset.to_le_bytes());
        self
    }

    pub(crate) fn data(mut self, bytes: usize) -> Raw {
        self.data = (0..bytes).map(|byte| byte as u8).collect();
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.magic.to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(self.tensor_count.to_le_bytes());
        bytes.extend(self.key_count.to_le_bytes());
        bytes.extend(&self.keys);
        bytes.extend(&self.tensors);
        if self.tensor_count > 0 {
            bytes.resize(bytes.len().next_multiple_of(self.alignment), 0);
        }
        bytes.extend(&self.data);
        bytes
    }

    pub(crate) fn open(&self) -> Result<Gguf, Error> {
        Gguf::from_bytes(self.bytes())
    }
}

/// A string as the format has it.
pub(crate) fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u64).to_le_bytes(), bytes].concat()
}

/// An array as the format has it.
pub(crate) fn array(element_type: u32, count: u64, elements: &[u8]) -> Vec<u8> {
    [&element_type.to_le_bytes()[..], &count.to_le_bytes(), elements].concat()
}

/// A small file with every value type, arrays of each, and some tensors. The data of its last tensor ends
/// with the file.
pub(crate) fn small() -> Writer {
    let block = |ty: TensorType, count: usize| (0..ty.block_bytes() * count).map(|byte| byte as u8).collect();
    Writer::new()
        .metadata("general.architecture", "bert")
        .metadata("a.u8", 200u8)
        .metadata("a.i8", -100i8)
        .metadata("a.u16", 60_000u16)
        .metadata("a.i16", -30_000i16)
        .metadata("a.u32", 4_000_000_000u32)
        .metadata("a.i32", -2_000_000_000i32)
        .metadata("a.u64", u64::MAX)
        .metadata("a.i64", i64::MIN)
        .metadata("a.f32", 1.5f32)
        .metadata("a.f64", -2.5e300f64)
        .metadata("a.bool", true)
        .metadata("a.string", "Straße")
        .metadata("a.bytes", &[0xff, 0, 0x80][..])
        .metadata("a.u8s", vec![1u8, 255])
        .metadata("a.i8s", vec![-1i8, 127])
        .metadata("a.u16s", vec![1u16, u16::MAX])
        .metadata("a.i16s", vec![-1i16, i16::MIN])
        .metadata("a.u32s", vec![7u32, 8, u32::MAX])
        .metadata("a.i32s", vec![-7i32, i32::MAX])
        .metadata("a.u64s", vec![0u64, i64::MAX as u64])
        .metadata("a.i64s", vec![i64::MIN, 3])
        .metadata("a.f32s", vec![0.25f32, f32::NEG_INFINITY])
        .metadata("a.f64s", vec![0.1f64, 1e300])
        .metadata("a.bools", vec![true, false, true])
        .metadata("a.strings", vec!["", "one", "zwölf"])
        .metadata("a.none", Vec::<String>::new())
        .tensor("scalar", TensorType::F32, &[], vec![1, 2, 3, 4])
        .tensor("vector", TensorType::F16, &[3], vec![9; 6])
        .tensor("empty", TensorType::F32, &[4, 0], Vec::new())
        .tensor("matrix", TensorType::Q8_0, &[64, 3], block(TensorType::Q8_0, 6))
        .tensor("cube", TensorType::F32, &[2, 2, 1, 2], (0..32).collect())
}

/// Reads everything that an open file hands out; gives a sum, so that nothing is left out.
pub(crate) fn touch(gguf: &Gguf) -> u64 {
    let mut sum = u64::from(gguf.version()) + gguf.alignment();
    let metadata = gguf.metadata();
    for (key, value) in metadata.iter() {
        assert_eq!(metadata.get(key).map(|value| value.value_type()), Some(value.value_type()));
        sum += value.to_string().len() as u64 + format!("{value:?}").len() as u64;
        let found = [
            metadata.u64(key).is_ok(),
            metadata.u32(key).is_ok(),
            metadata.usize(key).is_ok(),
            metadata.i64(key).is_ok(),
            metadata.f32(key).is_ok(),
            metadata.bool(key).is_ok(),
            metadata.str(key).is_ok(),
            metadata.array(key).is_ok(),
        ];
        sum += found.iter().filter(|&&found| found).count() as u64;
        if let Ok(Some(array)) = metadata.array(key) {
            assert_eq!(array.iter().count(), array.len());
            sum += array.iter().map(|element| element.to_string().len() as u64).sum::<u64>();
            sum += array.strings().map_or(0, |strings| strings.map(|text| text.len() as u64).sum());
            for len in [
                array.to_f32s().map(|v| v.len()),
                array.to_i64s().map(|v| v.len()),
                array.bools().map(|v| v.len()),
            ] {
                assert!(len.is_none_or(|len| len == array.len()));
            }
        }
    }
    for (index, tensor) in gguf.tensors().enumerate() {
        assert_eq!(gguf.tensor(tensor.name()).map(|tensor| tensor.index()), Some(index));
        assert_eq!(gguf.tensor_at(index).name(), tensor.name());
        let (ty, range) = (tensor.ty(), tensor.file_range());
        assert_eq!(tensor.bytes().len() as u64, range.end - range.start);
        assert_eq!(
            u128::from(tensor.elements()) / ty.block_elements() as u128 * ty.block_bytes() as u128,
            tensor.bytes().len() as u128
        );
        sum += tensor.bytes().iter().map(|&byte| u64::from(byte)).sum::<u64>() + tensor.dims().len() as u64;
    }
    sum + gguf.shards().map(|shard| shard.len() as u64).sum::<u64>()
}
