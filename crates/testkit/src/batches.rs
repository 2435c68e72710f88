//! The same text alone, in any batch, in any order: the same bits.

/// Embeds texts alone and in two orders by `one`, together by `other`, which has other threads; whether all agree in bits.
///
/// # Errors
/// The first text that differs, or what an embedding failed with.
pub fn same_bits<V: PartialEq, E>(
    texts: &[&str],
    one: impl Fn(&[&str]) -> Result<Vec<V>, E>,
    other: impl Fn(&[&str]) -> Result<Vec<V>, E>,
) -> Result<(), String>
where
    E: std::fmt::Display,
{
    let reversed: Vec<&str> = texts.iter().rev().copied().collect();
    let said = |error: E| error.to_string();
    let (together, reversed) = (other(texts).map_err(said)?, one(&reversed).map_err(said)?);
    for (index, text) in texts.iter().enumerate() {
        let alone = one(&[*text]).map_err(said)?;
        if alone[0] != together[index] {
            return Err(format!("{text:?} differs in a batch"));
        }
        if alone[0] != reversed[texts.len() - 1 - index] {
            return Err(format!("{text:?} differs in another order"));
        }
    }
    Ok(())
}
