//! CPU levels, and which of them this machine has.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__cpuid;
use std::ffi::OsStr;
use std::fmt;
use std::str::FromStr;
#[cfg(target_arch = "x86_64")]
use std::sync::LazyLock;

/// A CPU level: a row of the kernel table. Ordered from the plainest to the fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Portable Rust, on every machine.
    Scalar,
    /// x86-64 with AVX2, FMA and F16C (Haswell 2013, Zen 2017, and later).
    Avx2,
    /// AVX2 with AVX-VNNI: 256-bit `vpdpwssd` (Alder Lake 2021, Zen 5, and later).
    AvxVnni,
    /// AVX-512 (F, BW, DQ, VL) with VNNI (Cascade Lake 2019, Zen 4, and later).
    Avx512,
    /// AVX-512 with AMX tiles of bf16 (Sapphire Rapids 2023, and later).
    Amx,
    /// aarch64 with NEON: all of them.
    Neon,
}

impl Level {
    /// Every level this build knows, plainest first.
    pub const ALL: &[Level] =
        &[Level::Scalar, Level::Avx2, Level::AvxVnni, Level::Avx512, Level::Amx, Level::Neon];

    /// The name `CONNOTE_CPU` takes.
    pub fn name(self) -> &'static str {
        match self {
            Level::Scalar => "scalar",
            Level::Avx2 => "avx2",
            Level::AvxVnni => "avxvnni",
            Level::Avx512 => "avx512",
            Level::Amx => "amx",
            Level::Neon => "neon",
        }
    }

    /// Whether this machine can run the level.
    pub fn is_available(self) -> bool {
        match self {
            Level::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "x86_64")]
            Level::AvxVnni => Level::Avx2.is_available() && is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                Level::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Level::Amx => crate::amx::is_available(),
            // Little-endian ones, whose panels of bytes and of pairs these are.
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Level::Neon => true,
            // Levels of other architectures.
            _ => false,
        }
    }

    /// What this machine lacks for the level, in the names that `/proc/cpuinfo` or Linux has for it; empty if it has all.
    pub fn lacking(self) -> Vec<&'static str> {
        if self.is_available() {
            return Vec::new();
        }
        if self == Level::Neon {
            return vec!["aarch64"];
        }
        #[cfg(target_arch = "x86_64")]
        {
            let of = |features: &[(&'static str, bool)]| {
                features.iter().filter(|(_, there)| !there).map(|&(name, _)| name).collect::<Vec<_>>()
            };
            let mut lacking = of(&[
                ("avx2", is_x86_feature_detected!("avx2")),
                ("fma", is_x86_feature_detected!("fma")),
                ("f16c", is_x86_feature_detected!("f16c")),
            ]);
            match self {
                Level::AvxVnni => lacking.push("avx_vnni"),
                Level::Avx512 | Level::Amx => lacking.extend(of(&[
                    ("avx512f", is_x86_feature_detected!("avx512f")),
                    ("avx512bw", is_x86_feature_detected!("avx512bw")),
                    ("avx512dq", is_x86_feature_detected!("avx512dq")),
                    ("avx512vl", is_x86_feature_detected!("avx512vl")),
                    ("avx512_vnni", is_x86_feature_detected!("avx512vnni")),
                ])),
                Level::Scalar | Level::Avx2 | Level::Neon => {}
            }
            if self == Level::Amx {
                lacking.push(if crate::amx::is_built_in() {
                    "Linux's permission to use amx_bf16 (arch_prctl)"
                } else {
                    "amx_bf16"
                });
            }
            lacking
        }
        #[cfg(not(target_arch = "x86_64"))]
        vec!["x86_64"]
    }

    /// The levels this machine has, plainest first.
    pub fn available() -> impl Iterator<Item = Level> {
        Self::ALL.iter().copied().filter(|level| level.is_available())
    }

    /// The level to run: what `CONNOTE_CPU` names, else the fastest the machine has.
    ///
    /// # Errors
    /// If `CONNOTE_CPU` names no level (a name that is not Unicode is none) or one that the machine lacks:
    /// never a silent fall to another.
    pub fn chosen() -> Result<Level, LevelError> {
        match std::env::var_os("CONNOTE_CPU") {
            Some(name) if !name.is_empty() => Self::named(&name),
            _ => Ok(Self::available().last().unwrap_or(Level::Scalar)),
        }
    }

    fn named(name: &OsStr) -> Result<Level, LevelError> {
        let unknown = || LevelError::Unknown(name.to_string_lossy().into_owned());
        let level: Level = name.to_str().ok_or_else(unknown)?.parse()?;
        if level.is_available() { Ok(level) } else { Err(LevelError::Lacking(level)) }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Level {
    type Err = LevelError;

    fn from_str(name: &str) -> Result<Self, LevelError> {
        let known = Self::ALL.iter().find(|level| level.name().eq_ignore_ascii_case(name));
        known.copied().ok_or_else(|| LevelError::Unknown(name.to_owned()))
    }
}

/// Whether this core adds integers in units of their own beside those that multiply them. AMD's do: Zen 3 and 4 multiply
/// in two of the four that add (256 bits each), Zen 1 and 2 by LLVM's model in one of three. Intel's since Skylake
/// multiply in two of the three that add 256 bits, and in both of the two that add 512.
#[cfg(target_arch = "x86_64")]
pub(crate) fn adds_beside_products() -> bool {
    static MAKER_IS_AMD: LazyLock<bool> = LazyLock::new(|| {
        let maker = __cpuid(0);
        (maker.ebx, maker.edx, maker.ecx)
            == (u32::from_le_bytes(*b"Auth"), u32::from_le_bytes(*b"enti"), u32::from_le_bytes(*b"cAMD"))
    });
    *MAKER_IS_AMD
}

/// Why a CPU level cannot run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LevelError {
    /// No level has this name.
    Unknown(String),
    /// This machine lacks the level's instructions.
    Lacking(Level),
}

impl fmt::Display for LevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LevelError::Unknown(name) => write!(f, "no CPU level is called `{name}`")?,
            LevelError::Lacking(level) => write!(f, "this machine lacks the CPU level `{level}`")?,
        }
        // Whoever reads this set the variable or used the API.
        let names: Vec<&str> = Level::available().map(Level::name).collect();
        let names = names.join(", ");
        write!(
            f,
            "; this machine runs {names}, and the last unless CONNOTE_CPU or the caller asks for another"
        )
    }
}

impl std::error::Error for LevelError {}

#[cfg(test)]
mod tests {
    use super::Level;

    #[test]
    fn a_level_lacks_something_or_is_there() {
        for level in Level::ALL {
            assert_eq!(level.lacking().is_empty(), level.is_available(), "{level}");
        }
    }
}
