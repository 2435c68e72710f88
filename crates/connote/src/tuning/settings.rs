//! What a user can say about the choice.

use std::fmt;
use std::str::FromStr;

use super::Shape;

/// Who chooses workers and threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Policy {
    /// By the number of texts alone: 1 to 4 texts one worker; 5 to 16 a quarter of the cores; 17 to 32 half of them; more
    /// texts all of them. Never more workers than texts.
    Table,
    /// The shape whose time is predicted to be the shortest, from token counts and what was measured of this machine and
    /// model, once: by [`Embedder::tune`](crate::Embedder::tune), or when the model is opened.
    CostModel,
    /// The cost model, corrected by the throughput that is observed.
    #[default]
    Adaptive,
    /// Always this shape, but never more workers than texts, nor, where workers stay on a NUMA node, more threads than the
    /// largest has cores.
    Fixed(Shape),
}

/// Which ways to use cores a choice may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Parallelism {
    /// Both, and mixtures.
    #[default]
    Auto,
    /// Texts side by side, one thread each (coarse).
    Texts,
    /// One micro-batch after another, all threads inside its matrix products (fine).
    Matmul,
}

/// What the choice is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Preset {
    /// Each call as soon as possible, calls that meet computed together.
    #[default]
    Balanced,
    /// The shortest wait for a single call: small micro-batches, that end or give way sooner.
    Latency,
    /// The most texts a second from many calls: calls that meet run side by side on a thread each.
    Throughput,
}

/// Everything a user can say about the choice. The default is to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Tuning {
    /// Who chooses.
    pub policy: Policy,
    /// Among which ways.
    pub parallelism: Parallelism,
    /// For what.
    pub preset: Preset,
}

impl Tuning {
    /// The default: adaptive, any way, balanced.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this policy.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// With these ways to choose among.
    pub fn parallelism(mut self, parallelism: Parallelism) -> Self {
        self.parallelism = parallelism;
        self
    }

    /// For this.
    pub fn preset(mut self, preset: Preset) -> Self {
        self.preset = preset;
        self
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Policy::Table => f.pad("table"),
            Policy::CostModel => f.pad("cost-model"),
            Policy::Adaptive => f.pad("adaptive"),
            Policy::Fixed(shape) => f.pad(&shape.to_string()),
        }
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "table" => Ok(Policy::Table),
            "cost-model" => Ok(Policy::CostModel),
            "adaptive" => Ok(Policy::Adaptive),
            other => other.parse().map(Policy::Fixed).map_err(|_| {
                format!("no policy is called `{other}`; there is table, cost-model, adaptive and workers x threads, as in 4x2")
            }),
        }
    }
}

macro_rules! named {
    ($type:ident, $what:literal, $names:literal, $($name:literal => $value:ident),*) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $($type::$value => $name),* })
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(name: &str) -> Result<Self, String> {
                match name {
                    $($name => Ok($type::$value),)*
                    other => Err(format!("no {} is called `{other}`; there is {}", $what, $names)),
                }
            }
        }
    };
}

named!(Parallelism, "parallelism", "auto, texts and matmul", "auto" => Auto, "texts" => Texts, "matmul" => Matmul);
named!(Preset, "preset", "balanced, latency and throughput",
    "balanced" => Balanced, "latency" => Latency, "throughput" => Throughput);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_as_they_are_written() {
        for policy in [Policy::Table, Policy::CostModel, Policy::Adaptive, Policy::Fixed(Shape::new(4, 2))] {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        for parallelism in [Parallelism::Auto, Parallelism::Texts, Parallelism::Matmul] {
            assert_eq!(parallelism.to_string().parse(), Ok(parallelism));
        }
        for preset in [Preset::Balanced, Preset::Latency, Preset::Throughput] {
            assert_eq!(preset.to_string().parse(), Ok(preset));
        }
        assert!("best".parse::<Policy>().unwrap_err().contains("cost-model"));
        assert!("best".parse::<Parallelism>().unwrap_err().contains("matmul"));
        assert!("best".parse::<Preset>().unwrap_err().contains("latency"));
    }
}
