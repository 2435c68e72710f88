//! Limits that users set through the environment.

use std::fmt;

/// The variables that limit the number of threads. Ours, and the two that users of other engines have set
/// already; batch systems set the second.
const VARIABLES: [&str; 3] = ["CONNOTE_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS"];

/// A variable of the environment about threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its name.
    pub variable: &'static str,
    /// The most threads it allows; `None` if its value could not be read as a number and is ignored.
    pub threads: Option<usize>,
    /// Its value, at most 40 characters of it.
    pub value: String,
}

/// The limits that `variable` knows. Empty and 0 mean "automatic" and are no limit.
pub(crate) fn limits(variable: impl Fn(&str) -> Option<String>) -> Vec<Limit> {
    let limit = |name: &'static str| {
        let value = variable(name)?;
        // OMP_NUM_THREADS may list a number for every level of nesting; ours is the first.
        let threads = value.split(',').next()?.trim();
        if threads.is_empty() || threads == "0" {
            return None;
        }
        Some(Limit { variable: name, threads: threads.parse().ok(), value: value.chars().take(40).collect() })
    };
    VARIABLES.into_iter().filter_map(limit).collect()
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.threads {
            Some(threads) => write!(f, "{} allows {threads}", self.variable),
            None => write!(f, "{}={:?} is not a number of threads and is ignored", self.variable, self.value),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Vec<(Option<usize>, String)> {
        let found = limits(|name| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned()));
        found.iter().map(|limit| (limit.threads, limit.to_string())).collect()
    }

    #[test]
    fn each_variable_limits() {
        assert_eq!(with(&[]), []);
        assert_eq!(with(&[("CONNOTE_THREADS", "3")]), [(Some(3), "CONNOTE_THREADS allows 3".into())]);
        assert_eq!(with(&[("OMP_NUM_THREADS", " 4,2,1")]), [(Some(4), "OMP_NUM_THREADS allows 4".into())]);
        assert_eq!(with(&[("RAYON_NUM_THREADS", "0"), ("OMP_NUM_THREADS", "")]), []);
        assert_eq!(with(&[("RAYON_NUM_THREADS", "5"), ("CONNOTE_THREADS", "6")]).len(), 2);
    }

    #[test]
    fn nonsense_is_said() {
        for value in ["many", "-1", "2.5", "99999999999999999999999"] {
            let said = format!("CONNOTE_THREADS={value:?} is not a number of threads and is ignored");
            assert_eq!(with(&[("CONNOTE_THREADS", value)]), [(None, said)]);
        }
    }
}
