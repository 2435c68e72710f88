//! Reading JSON so that a refusal names the field and the text.

use std::collections::{HashMap, HashSet};
use std::fmt;

use connote::jsonl;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, DeserializeOwned, Deserializer, IntoDeserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_path_to_error::Segment;

use crate::fault::{Fault, FaultKind};
use crate::surrogates;

/// A JSON object as `T`; fields that `T` does not have are not looked at.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    // Also in what is not looked at; and strings in it need no look of their own.
    let body = std::str::from_utf8(body).map_err(|error| {
        let message = format!("the body of the request is not UTF-8, from byte {} on", error.valid_up_to());
        Fault::new(FaultKind::InvalidJson, message)
    })?;
    // Programs of Windows begin files with it, and RFC 8259 lets readers pass over it.
    let body = body.strip_prefix('\u{feff}').unwrap_or(body);
    if let Some(first) = body.bytes().find(|byte| !byte.is_ascii_whitespace())
        && first != b'{'
    {
        let json = serde_json::from_str::<de::IgnoredAny>(body);
        let what = match json {
            Ok(_) => "is not a JSON object".to_owned(),
            Err(error) => format!("is not valid JSON: {error}"),
        };
        return Err(Fault::new(FaultKind::InvalidJson, format!("the body of the request {what}")));
    }
    let mut deserializer = serde_json::Deserializer::from_str(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let mut path = error.path().iter();
        let field = match path.next() {
            Some(Segment::Map { key }) => Some(key.clone()),
            _ => None,
        };
        let index = match path.next() {
            Some(Segment::Seq { index }) => Some(*index),
            _ => None,
        };
        let inner = error.inner();
        // Half a surrogate pair is an error of syntax to serde_json, though it is a text that is at fault, not the JSON.
        let valid = inner.is_data() || serde_json::from_str::<de::IgnoredAny>(body).is_ok();
        match (valid, field) {
            (true, Some(field)) => {
                let place = index.map_or_else(|| format!("`{field}`"), |index| format!("{field} {index}"));
                let said = inner.to_string();
                let said = if jsonl::is_of_a_half(&said) { jsonl::HALF } else { &said };
                Fault::invalid(format!("{place}: {said}")).param(field)
            }
            (true, None) => {
                let message = inner.to_string();
                // serde's words; where they change, the field is not named apart.
                let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
                let field = missing.map(|(field, _)| field.to_owned());
                let fault = Fault::invalid(message);
                field.into_iter().fold(fault, Fault::param)
            }
            (false, _) => Fault::new(
                FaultKind::InvalidJson,
                format!("the body of the request is not valid JSON: {inner}"),
            ),
        }
    })?;
    deserializer.end().map_err(|error| {
        Fault::new(FaultKind::InvalidJson, format!("the body of the request is not valid JSON: {error}"))
    })?;
    Ok(value)
}

/// As [`read`], but halves of surrogate pairs are U+FFFD, as they are to Go's servers.
pub(crate) fn read_replacing<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    // They are rare: looked for where something is wrong.
    read(body).or_else(|fault| surrogates::replaced(body).map_or(Err(fault), |whole| read(&whole)))
}

/// The bytes of an answer.
pub(crate) fn write(answer: &impl Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(answer)
        .map_err(|error| Fault::internal(format!("the answer cannot be written: {error}")))
}

/// The fields that a JSON object has, and not as null; none if it is none.
pub(crate) fn fields(body: &[u8]) -> HashSet<String> {
    let fields = serde_json::from_slice::<HashMap<String, Option<de::IgnoredAny>>>(body);
    let fields = fields.unwrap_or_default().into_iter();
    fields.filter_map(|(name, value)| value.map(|_| name)).collect()
}

/// A text, or several.
#[derive(Debug)]
pub(crate) enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    pub(crate) fn into_vec(self) -> Vec<String> {
        match self {
            Texts::One(text) => vec![text],
            Texts::Many(texts) => texts,
        }
    }
}

/// Not untagged, which would lose the index of what is no text.
impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of strings")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts::One(text.to_owned()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Texts, E> {
                Ok(Texts::One(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Texts, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(items)).map(Texts::Many)
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

/// A choice by its name. Read as a string first: a value of another kind is an error of syntax where serde_json looks for an
/// enum, and has no place.
pub(crate) fn choice<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?;
    name.map(|name| T::deserialize(name.into_deserializer())).transpose()
}

/// A number that is whole, and not below 0, though it is written as `256.0`.
pub(crate) fn whole(value: f64) -> Option<u64> {
    // Up to where every whole number has a double of its own.
    let is_whole = value.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&value);
    is_whole.then_some(value as u64)
}

/// A number as a token id.
fn token_id<E: de::Error>(number: u64) -> Result<u32, E> {
    u32::try_from(number).map_err(|_| E::custom(format!("{number} is no token id")))
}

/// A whole number from 0 on, also as JSON's `256.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number from 0 on")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Count, E> {
                Ok(Count(value))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Count, E> {
                let wrong = || E::invalid_value(de::Unexpected::Float(value), &self);
                whole(value).map(Count).ok_or_else(wrong)
            }
        }
        deserializer.deserialize_any(Whole)
    }
}

/// Texts, or token ids in their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Inputs {
    /// A text that came without an array around it.
    One(String),
    Many(Vec<Content>),
    /// Token ids of one text, without an array around them.
    Ids(Vec<u32>),
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Text(String),
    Ids(Vec<u32>),
}

impl Inputs {
    pub(crate) fn into_contents(self) -> Vec<Content> {
        match self {
            Inputs::One(text) => vec![Content::Text(text)],
            Inputs::Ids(ids) => vec![Content::Ids(ids)],
            Inputs::Many(contents) => contents,
        }
    }
}

impl<'de> Deserialize<'de> for Inputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// One element of the array: of ids, or of texts.
        enum Element {
            Id(u32),
            Content(Content),
        }
        struct OneElement;
        impl<'de> Visitor<'de> for OneElement {
            type Value = Element;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, or token ids")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Element, E> {
                Ok(Element::Content(Content::Text(text.to_owned())))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Element, E> {
                Ok(Element::Content(Content::Text(text)))
            }

            fn visit_u64<E: de::Error>(self, id: u64) -> Result<Element, E> {
                token_id(id).map(Element::Id)
            }

            fn visit_f64<E: de::Error>(self, id: f64) -> Result<Element, E> {
                let known = whole(id).and_then(|id| u32::try_from(id).ok());
                known.map(Element::Id).ok_or_else(|| E::invalid_type(de::Unexpected::Float(id), &self))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Element, A::Error> {
                let mut ids = Vec::new();
                while let Some(Id(id)) = items.next_element()? {
                    ids.push(id);
                }
                Ok(Element::Content(Content::Ids(ids)))
            }
        }
        impl<'de> Deserialize<'de> for Element {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(OneElement)
            }
        }
        struct Id(u32);
        impl<'de> Deserialize<'de> for Id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let Count(id) = Count::deserialize(deserializer)?;
                token_id(id).map(Id)
            }
        }
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Inputs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, an array of strings, or token ids")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Inputs, E> {
                Ok(Inputs::One(text.to_owned()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Inputs, E> {
                Ok(Inputs::One(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Inputs, A::Error> {
                let (mut ids, mut contents) = (Vec::new(), Vec::new());
                while let Some(element) = items.next_element()? {
                    match element {
                        Element::Id(id) if contents.is_empty() => ids.push(id),
                        Element::Content(content) if ids.is_empty() => contents.push(content),
                        _ => return Err(de::Error::custom("token ids and texts are mixed in one array")),
                    }
                }
                Ok(if ids.is_empty() { Inputs::Many(contents) } else { Inputs::Ids(ids) })
            }
        }
        deserializer.deserialize_any(All)
    }
}
