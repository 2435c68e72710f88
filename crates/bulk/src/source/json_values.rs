//! Fields of JSON objects, and what their values have in common.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow_schema::{DataType, Field};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::numbers::Number;

/// Fields of an object, as they are written; no value for one that is there twice.
pub(super) struct Object<'a>(BTreeMap<String, Option<&'a RawValue>>);

impl<'a> Object<'a> {
    /// The value of a field that is there once.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().flatten()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn has_twice(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(Option::is_none)
    }

    /// All, by their names.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, Option<&'a RawValue>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    fields.entry(name).and_modify(|value| *value = None).or_insert(Some(value));
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// What all values of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Kind {
    /// Null, or not there.
    #[default]
    Nothing,
    Number(Number),
    Boolean,
    String,
    /// Of several kinds, or lists and objects: it stays JSON.
    Json,
}

impl Kind {
    pub(super) fn of(value: &RawValue) -> Self {
        match value.get().as_bytes().first() {
            Some(b'"') => Self::String,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'n') | None => Self::Nothing,
            Some(b'[' | b'{') => Self::Json,
            Some(_) => Number::of(value.get()).map_or(Self::Json, Self::Number),
        }
    }

    pub(super) fn is_integer(self) -> bool {
        matches!(self, Self::Number(number) if number.is_integer())
    }

    /// What holds values of both to the last digit.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, kind) | (kind, Self::Nothing) => kind,
            (Self::Number(one), Self::Number(other)) => one.and(other).map_or(Self::Json, Self::Number),
            (kind, other) if kind == other => kind,
            _ => Self::Json,
        }
    }

    pub(super) fn field(self, name: &str) -> Field {
        let kind = match self {
            Self::Number(number) => number.arrow(),
            Self::Boolean => DataType::Boolean,
            Self::String | Self::Nothing => DataType::Utf8,
            Self::Json => {
                let extension = [("ARROW:extension:name".to_owned(), "arrow.json".to_owned())];
                let extension: std::collections::HashMap<String, String> = extension.into();
                return Field::new(name, DataType::Utf8, true).with_metadata(extension);
            }
        };
        Field::new(name, kind, true)
    }

    /// Values of this kind as they were written.
    pub(super) fn array(self, values: Vec<Option<Box<RawValue>>>) -> ArrayRef {
        let values =
            values.iter().map(|value| value.as_ref().map(|value| value.get()).filter(|text| *text != "null"));
        match self {
            Self::Number(number) if number.is_integer() => {
                Arc::new(values.map(|text| text?.parse().ok()).collect::<Int64Array>())
            }
            Self::Number(_) => Arc::new(values.map(|text| text?.parse().ok()).collect::<Float64Array>()),
            Self::Boolean => Arc::new(values.map(|text| text?.parse().ok()).collect::<BooleanArray>()),
            Self::String | Self::Nothing => Arc::new(
                values.map(|text| serde_json::from_str::<String>(text?).ok()).collect::<StringArray>(),
            ),
            Self::Json => Arc::new(values.collect::<StringArray>()),
        }
    }
}
