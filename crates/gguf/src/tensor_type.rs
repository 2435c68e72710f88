//! Tensor types: names and block geometry.

use std::fmt;

macro_rules! tensor_types {
    ($($id:literal $name:ident $elements:literal $bytes:literal;)*) => {
        /// How a tensor's values are stored: in blocks of some values and some bytes.
        #[allow(missing_docs, non_camel_case_types)] // the names are the format's own
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum TensorType { $($name,)* }

        impl TensorType {
            /// Every type that files can hold.
            pub const ALL: &[TensorType] = &[$(TensorType::$name,)*];

            /// The number files have it by.
            pub fn id(self) -> u32 {
                match self { $(TensorType::$name => $id,)* }
            }

            /// The name people have it by.
            pub fn name(self) -> &'static str {
                match self { $(TensorType::$name => stringify!($name),)* }
            }

            /// Values a block.
            pub fn block_elements(self) -> usize {
                match self { $(TensorType::$name => $elements,)* }
            }

            /// Bytes a block.
            pub fn block_bytes(self) -> usize {
                match self { $(TensorType::$name => $bytes,)* }
            }
        }
    };
}

tensor_types! {
    0 F32 1 4;
    1 F16 1 2;
    2 Q4_0 32 18;
    3 Q4_1 32 20;
    6 Q5_0 32 22;
    7 Q5_1 32 24;
    8 Q8_0 32 34;
    9 Q8_1 32 36;
    10 Q2_K 256 84;
    11 Q3_K 256 110;
    12 Q4_K 256 144;
    13 Q5_K 256 176;
    14 Q6_K 256 210;
    15 Q8_K 256 292;
    16 IQ2_XXS 256 66;
    17 IQ2_XS 256 74;
    18 IQ3_XXS 256 98;
    19 IQ1_S 256 50;
    20 IQ4_NL 32 18;
    21 IQ3_S 256 110;
    22 IQ2_S 256 82;
    23 IQ4_XS 256 136;
    24 I8 1 1;
    25 I16 1 2;
    26 I32 1 4;
    27 I64 1 8;
    28 F64 1 8;
    29 IQ1_M 256 56;
    30 BF16 1 2;
    34 TQ1_0 256 54;
    35 TQ2_0 256 66;
    39 MXFP4 32 17;
    40 NVFP4 64 36;
    41 Q1_0 128 18;
    42 Q2_0 64 18;
}

impl TensorType {
    /// The type that files have by this number, if there is one.
    pub fn from_id(id: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|ty| ty.id() == id)
    }

    /// Bytes of a row of `elements` values: `None` if they are no whole blocks, or too many to count.
    pub fn row_bytes(self, elements: u64) -> Option<u64> {
        let block = self.block_elements() as u64;
        if !elements.is_multiple_of(block) {
            return None;
        }
        (elements / block).checked_mul(self.block_bytes() as u64)
    }

    /// The name of a type that was taken out of the format, and what to get instead.
    pub(crate) fn removed(id: u32) -> Option<&'static str> {
        match id {
            4 => Some("Q4_2, which was removed from the format; get the model in a type of today"),
            5 => Some("Q4_3, which was removed from the format; get the model in a type of today"),
            31..=33 => Some("a repacked Q4_0, which was removed from the format; get a plain Q4_0 file"),
            36..=38 => Some("a repacked IQ4_NL, which was removed from the format; get a plain IQ4_NL file"),
            _ => None,
        }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
