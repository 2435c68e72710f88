//! Tensor types: ids, names and block sizes. What the bytes mean is not known here.

use std::fmt;

macro_rules! tensor_types {
    ($($variant:ident = $id:literal, $elements:literal elements in $bytes:literal bytes;)*) => {
        /// How the values of a tensor are stored: in blocks of a fixed number of values and bytes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[expect(non_camel_case_types, reason = "the names under which everybody knows them")]
        #[expect(missing_docs, reason = "the names are the types' own")]
        #[non_exhaustive]
        pub enum TensorType { $($variant = $id,)* }

        impl TensorType {
            /// All of them, by id.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The type that a file calls `id`; `None` for ids that do not exist, or exist no more.
            pub fn from_id(id: u32) -> Option<Self> {
                match id {
                    $($id => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Its usual name, as `Q4_K`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }

            /// How many values a block holds; 1 for plain numbers.
            pub fn block_elements(self) -> usize {
                match self { $(Self::$variant => $elements,)* }
            }

            /// How many bytes a block takes.
            pub fn block_bytes(self) -> usize {
                match self { $(Self::$variant => $bytes,)* }
            }
        }
    };
}

tensor_types! {
    F32 = 0, 1 elements in 4 bytes;
    F16 = 1, 1 elements in 2 bytes;
    Q4_0 = 2, 32 elements in 18 bytes;
    Q4_1 = 3, 32 elements in 20 bytes;
    Q5_0 = 6, 32 elements in 22 bytes;
    Q5_1 = 7, 32 elements in 24 bytes;
    Q8_0 = 8, 32 elements in 34 bytes;
    Q8_1 = 9, 32 elements in 36 bytes;
    Q2_K = 10, 256 elements in 84 bytes;
    Q3_K = 11, 256 elements in 110 bytes;
    Q4_K = 12, 256 elements in 144 bytes;
    Q5_K = 13, 256 elements in 176 bytes;
    Q6_K = 14, 256 elements in 210 bytes;
    Q8_K = 15, 256 elements in 292 bytes;
    IQ2_XXS = 16, 256 elements in 66 bytes;
    IQ2_XS = 17, 256 elements in 74 bytes;
    IQ3_XXS = 18, 256 elements in 98 bytes;
    IQ1_S = 19, 256 elements in 50 bytes;
    IQ4_NL = 20, 32 elements in 18 bytes;
    IQ3_S = 21, 256 elements in 110 bytes;
    IQ2_S = 22, 256 elements in 82 bytes;
    IQ4_XS = 23, 256 elements in 136 bytes;
    I8 = 24, 1 elements in 1 bytes;
    I16 = 25, 1 elements in 2 bytes;
    I32 = 26, 1 elements in 4 bytes;
    I64 = 27, 1 elements in 8 bytes;
    F64 = 28, 1 elements in 8 bytes;
    IQ1_M = 29, 256 elements in 56 bytes;
    BF16 = 30, 1 elements in 2 bytes;
    TQ1_0 = 34, 256 elements in 54 bytes;
    TQ2_0 = 35, 256 elements in 66 bytes;
    MXFP4 = 39, 32 elements in 17 bytes;
    NVFP4 = 40, 64 elements in 36 bytes;
    Q1_0 = 41, 128 elements in 18 bytes;
    Q2_0 = 42, 64 elements in 18 bytes;
}

impl TensorType {
    /// What a file calls it.
    pub fn id(self) -> u32 {
        self as u32
    }

    /// The bytes of a row of `ne0` values; `None` if that is not a whole number of blocks, or out of range.
    pub fn row_bytes(self, ne0: u64) -> Option<u64> {
        let elements = self.block_elements() as u64;
        if !ne0.is_multiple_of(elements) {
            return None;
        }
        (ne0 / elements).checked_mul(self.block_bytes() as u64)
    }

    /// Why an id is not a type, and what to do.
    pub(crate) fn why_not(id: u32) -> String {
        let repacked = |name: &str, plain: &str| {
            format!("{name} (id {id}), a repacked form that was removed in 2024; get the {plain} file")
        };
        match id {
            4 => "Q4_2 (id 4), which was removed in 2023; convert the model again".to_owned(),
            5 => "Q4_3 (id 5), which was removed in 2023; convert the model again".to_owned(),
            31 => repacked("Q4_0_4_4", "Q4_0"),
            32 => repacked("Q4_0_4_8", "Q4_0"),
            33 => repacked("Q4_0_8_8", "Q4_0"),
            36 => repacked("IQ4_NL_4_4", "IQ4_NL"),
            37 => repacked("IQ4_NL_4_8", "IQ4_NL"),
            38 => repacked("IQ4_NL_8_8", "IQ4_NL"),
            _ => format!("id {id}, which is unknown: newer than this program, or the file is damaged"),
        }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_a_type_or_explained() {
        for id in 0..43 {
            match TensorType::from_id(id) {
                Some(ty) => assert_eq!(ty.id(), id),
                None => assert!(TensorType::why_not(id).contains("removed"), "{id}"),
            }
        }
        assert_eq!(TensorType::ALL.len(), 43 - 8);
        assert_eq!(TensorType::from_id(43), None);
        assert!(TensorType::why_not(43).contains("unknown"));
    }

    #[test]
    fn rows_are_whole_blocks() {
        assert_eq!(TensorType::Q4_K.row_bytes(512), Some(288));
        assert_eq!(TensorType::Q4_K.row_bytes(384), None);
        assert_eq!(TensorType::Q8_0.row_bytes(0), Some(0));
        assert_eq!(TensorType::F32.row_bytes(u64::MAX), None);
    }
}
