//! What a file is called by its tensors: a type, or a mixture of several.

use std::fmt;
use std::str::FromStr;

use gguf::TensorType;

macro_rules! file_types {
    ($($variant:ident = $name:literal, $id:literal, $ty:ident;)*) => {
        /// A type of file, as in its name: all matrices in one tensor type, or one of llama.cpp's mixtures.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(non_camel_case_types, reason = "the names under which everybody knows them")]
        #[expect(missing_docs, reason = "the names are the types' own")]
        pub enum FileType { $($variant,)* }

        impl FileType {
            /// All of them, the most exact first.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its usual name, as `Q4_K_M`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// `general.file_type`.
            pub fn id(self) -> u32 {
                match self { $(Self::$variant => $id,)* }
            }

            /// The type of most of its matrices.
            pub fn tensor_type(self) -> TensorType {
                match self { $(Self::$variant => TensorType::$ty,)* }
            }
        }
    };
}

file_types! {
    F32 = "F32", 0, F32;
    F16 = "F16", 1, F16;
    BF16 = "BF16", 32, BF16;
    Q8_0 = "Q8_0", 7, Q8_0;
    Q6_K = "Q6_K", 18, Q6_K;
    Q5_K_M = "Q5_K_M", 17, Q5_K;
    Q5_K_S = "Q5_K_S", 16, Q5_K;
    Q5_1 = "Q5_1", 9, Q5_1;
    Q5_0 = "Q5_0", 8, Q5_0;
    Q4_K_M = "Q4_K_M", 15, Q4_K;
    Q4_K_S = "Q4_K_S", 14, Q4_K;
    Q4_1 = "Q4_1", 3, Q4_1;
    Q4_0 = "Q4_0", 2, Q4_0;
    Q3_K_L = "Q3_K_L", 13, Q3_K;
    Q3_K_M = "Q3_K_M", 12, Q3_K;
    Q3_K_S = "Q3_K_S", 11, Q3_K;
    Q2_K = "Q2_K", 10, Q2_K;
}

impl FromStr for FileType {
    type Err = String;

    /// Case does not matter; `Q4_K` is `Q4_K_M`, as llama-quantize has it.
    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = text.to_ascii_uppercase();
        let wanted = match wanted.as_str() {
            "Q3_K" | "Q4_K" | "Q5_K" => format!("{wanted}_M"),
            _ => wanted,
        };
        Self::ALL.iter().copied().find(|ty| ty.name() == wanted).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|ty| ty.name()).collect();
            format!("not a type that connote writes; it writes {}", known.join(", "))
        })
    }
}

impl fmt::Display for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
