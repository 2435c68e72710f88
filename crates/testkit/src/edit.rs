//! A model file taken apart, to be put together otherwise: with keys or tensors added, replaced or dropped.

use gguf::{Gguf, OwnedValue, TensorType, Writer};

/// Keys and tensors of a file, in its order.
#[derive(Debug, Clone)]
pub struct Edit {
    keys: Vec<(String, OwnedValue)>,
    tensors: Vec<Part>,
}

/// A tensor as it stands in a file.
#[derive(Debug, Clone)]
struct Part {
    name: String,
    ty: TensorType,
    dims: Vec<u64>,
    bytes: Vec<u8>,
}

impl Edit {
    /// Everything that the file has.
    ///
    /// # Panics
    /// If it is not a valid file.
    pub fn of(bytes: &[u8]) -> Self {
        let gguf = Gguf::from_bytes(bytes.to_vec()).expect("a valid file");
        let keys = gguf.metadata().iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
        let part = |tensor: gguf::Tensor<'_>| Part {
            name: tensor.name().to_owned(),
            ty: tensor.ty(),
            dims: tensor.dims().to_vec(),
            bytes: tensor.bytes().to_vec(),
        };
        Self { keys, tensors: gguf.tensors().map(part).collect() }
    }

    /// With a key, in the place of one of its name if there is one.
    #[must_use]
    pub fn key(mut self, key: &str, value: impl Into<OwnedValue>) -> Self {
        let value = value.into();
        match self.keys.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.keys.push((key.to_owned(), value)),
        }
        self
    }

    /// With an F32 tensor, in the place of one of its name if there is one.
    #[must_use]
    pub fn tensor(mut self, name: &str, dims: &[u64], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let part = Part { name: name.to_owned(), ty: TensorType::F32, dims: dims.to_vec(), bytes };
        match self.tensors.iter_mut().find(|tensor| tensor.name == name) {
            Some(old) => *old = part,
            None => self.tensors.push(part),
        }
        self
    }

    /// The values of an F32 tensor.
    ///
    /// # Panics
    /// If there is no such tensor: a test that relies on it would show nothing.
    pub fn values(&self, name: &str) -> Vec<f32> {
        let tensor = self.tensors.iter().find(|tensor| tensor.name == name);
        let tensor = tensor.unwrap_or_else(|| panic!("the file has no tensor {name}"));
        assert_eq!(tensor.ty, TensorType::F32, "{name}");
        tensor.bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    }

    /// With an F32 tensor turned to Q8_0: blocks of 32 bytes under a half-precision scale.
    ///
    /// # Panics
    /// If there is no such F32 tensor, its rows are no whole blocks, or a block's scale is no normal half.
    #[must_use]
    pub fn q8_0(mut self, name: &str) -> Self {
        let values = self.values(name);
        let mut bytes = Vec::new();
        for block in values.chunks(32) {
            let largest = block.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            // Cut to a half's 11 bits, so that the scale is what a reader will find.
            let scale = f32::from_bits((largest / 127.0).to_bits() & 0xffff_e000);
            assert!((6.2e-5..6e4).contains(&scale), "{name}: a scale of {scale}");
            let half = (scale.to_bits() >> 13) - (112 << 10);
            bytes.extend((half as u16).to_le_bytes());
            bytes.extend(block.iter().map(|value| (value / scale).round().clamp(-127.0, 127.0) as i8 as u8));
        }
        let tensor = self.tensors.iter_mut().find(|tensor| tensor.name == name).expect("it has values");
        assert!(tensor.dims[0].is_multiple_of(32), "{name}: rows of {}", tensor.dims[0]);
        (tensor.ty, tensor.bytes) = (TensorType::Q8_0, bytes);
        self
    }

    /// Names of the F32 matrices (experts are several in one) whose rows are whole blocks of 32.
    pub fn quantisable(&self) -> Vec<String> {
        let fits = |tensor: &&Part| {
            tensor.ty == TensorType::F32 && tensor.dims.len() >= 2 && tensor.dims[0].is_multiple_of(32)
        };
        self.tensors.iter().filter(fits).map(|tensor| tensor.name.clone()).collect()
    }

    /// Names of the F32 tensors that are no vectors.
    pub fn matrices(&self) -> Vec<String> {
        let fits = |tensor: &&Part| tensor.ty == TensorType::F32 && tensor.dims.len() >= 2;
        self.tensors.iter().filter(fits).map(|tensor| tensor.name.clone()).collect()
    }

    /// With an F32 tensor turned to F16 or BF16, its values cut to as many bits as that has; below a normal half to zeros.
    ///
    /// # Panics
    /// If there is no such F32 tensor, the type is another, or a value is no half.
    #[must_use]
    pub fn float16(mut self, name: &str, ty: TensorType) -> Self {
        let half = |value: f32| {
            assert!(value.abs() < 65536.0, "{name}: {value}");
            let (sign, size) = (value.to_bits() >> 16 & 0x8000, value.abs().to_bits() >> 13);
            (sign | size.saturating_sub(112 << 10)) as u16
        };
        let bits = |value: f32| match ty {
            TensorType::F16 if value.abs() < 6.2e-5 => 0,
            TensorType::F16 => half(value),
            TensorType::BF16 => (value.to_bits() >> 16) as u16,
            _ => panic!("{ty} has no 16 bits"),
        };
        let bytes = self.values(name).into_iter().flat_map(|value| bits(value).to_le_bytes()).collect();
        let tensor = self.tensors.iter_mut().find(|tensor| tensor.name == name).expect("it has values");
        (tensor.ty, tensor.bytes) = (ty, bytes);
        self
    }

    /// Without the key or the tensor of this name.
    ///
    /// # Panics
    /// If there is neither: a test that drops nothing would show nothing.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        let before = self.keys.len() + self.tensors.len();
        self.keys.retain(|(key, _)| key != name);
        self.tensors.retain(|tensor| tensor.name != name);
        assert!(self.keys.len() + self.tensors.len() < before, "the file has no key or tensor {name}");
        self
    }

    /// The file.
    ///
    /// # Panics
    /// If the reader would refuse it.
    pub fn bytes(self) -> Vec<u8> {
        let mut writer = Writer::new();
        for (key, value) in self.keys {
            writer = writer.metadata(key, value);
        }
        for Part { name, ty, dims, bytes } in self.tensors {
            writer = writer.tensor(name, ty, &dims, bytes);
        }
        writer.to_bytes().expect("a valid file")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiny;

    #[test]
    fn what_is_not_edited_stays() {
        let bytes = tiny::bert(1);
        assert_eq!(Edit::of(&bytes).bytes(), bytes);
    }

    #[test]
    fn keys_and_tensors_are_replaced_added_and_dropped() {
        let edit = Edit::of(&tiny::bert(1)).key("bert.context_length", 7u32).key("new", "key");
        let edit = edit.tensor("token_embd_norm.bias", &[2], &[1.5, -2.0]).tensor("more", &[1], &[3.0]);
        assert_eq!(edit.values("token_embd_norm.bias"), [1.5, -2.0]);
        let bytes = edit.without("bert.block_count").without("blk.0.ffn_up.weight").bytes();
        let gguf = Gguf::from_bytes(bytes).expect("a valid file");
        assert_eq!(gguf.metadata().u32("bert.context_length").expect("a number"), Some(7));
        assert_eq!(gguf.metadata().str("new").expect("a string"), Some("key"));
        assert!(gguf.metadata().get("bert.block_count").is_none());
        assert!(gguf.tensor("blk.0.ffn_up.weight").is_none());
        assert_eq!(gguf.tensor("more").map(|tensor| tensor.bytes()), Some(&3.0f32.to_le_bytes()[..]));
    }

    #[test]
    #[should_panic(expected = "no key or tensor bert.rope")]
    fn what_is_not_there_cannot_be_dropped() {
        let _ = Edit::of(&tiny::bert(1)).without("bert.rope");
    }
}
