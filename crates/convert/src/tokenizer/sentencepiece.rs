//! SentencePiece's `.model`: a protocol buffer, of which a dozen fields matter.

use std::fs;
use std::path::Path;

use super::{Files, Kind, Token, Vocabulary, put_added};
use crate::error::Error;

/// `fairseq`: ids are those of fairseq, which has its own four marks first (XLM-R).
pub(super) fn read(path: &Path, files: &Files<'_>, fairseq: bool) -> Result<Vocabulary, Error> {
    let bytes = fs::read(path).map_err(|error| Error::file(path, format!("cannot be read: {error}")))?;
    let model = Model::parse(&bytes)
        .ok_or_else(|| Error::file(path, "is not a SentencePiece model; download it again"))?;
    let Model { mut tokens, is_unigram, charsmap, prefix, joined } = model;
    if fairseq {
        let marks = [
            ("<s>", Kind::Control),
            ("<pad>", Kind::Control),
            ("</s>", Kind::Control),
            ("<unk>", Kind::Unknown),
        ];
        let marks = marks.map(|(text, kind)| Token { text: text.to_owned(), score: 0.0, kind });
        let pieces = tokens.split_off(tokens.len().min(3));
        tokens = marks.into_iter().chain(pieces).collect();
        tokens.push(Token { text: "<mask>".to_owned(), score: 0.0, kind: Kind::Control });
    }
    put_added(&mut tokens, files.added(), Some(-1000.0), files);
    let mut more = vec![("add_space_prefix", prefix.into())];
    if !is_unigram && !charsmap.is_empty() {
        return Err(Error::file(path, "maps characters before BPE, which GGUF has no way to say"));
    }
    if !is_unigram {
        return Ok(Vocabulary { model: "llama", pre: "default".to_owned(), tokens, has_scores: true, more });
    }
    more.push(("remove_extra_whitespaces", joined.into()));
    if !charsmap.is_empty() {
        more.push(("precompiled_charsmap", charsmap.into()));
    }
    Ok(Vocabulary { model: "t5", pre: "default".to_owned(), tokens, has_scores: true, more })
}

struct Model {
    tokens: Vec<Token>,
    is_unigram: bool,
    charsmap: Vec<u8>,
    prefix: bool,
    joined: bool,
}

impl Model {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut model =
            Self { tokens: Vec::new(), is_unigram: true, charsmap: Vec::new(), prefix: true, joined: true };
        for field in Fields(bytes) {
            match field? {
                (1, Field::Bytes(piece)) => model.tokens.push(token(piece)?),
                (2, Field::Bytes(trainer)) => {
                    for field in Fields(trainer) {
                        if let (3, Field::Number(kind)) = field? {
                            model.is_unigram = kind == 1;
                        }
                    }
                }
                (3, Field::Bytes(normalizer)) => {
                    for field in Fields(normalizer) {
                        match field? {
                            (2, Field::Bytes(map)) => model.charsmap = map.to_vec(),
                            (3, Field::Number(flag)) => model.prefix = flag != 0,
                            (4, Field::Number(flag)) => model.joined = flag != 0,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        (!model.tokens.is_empty()).then_some(model)
    }
}

fn token(piece: &[u8]) -> Option<Token> {
    let mut token = Token { text: String::new(), score: 0.0, kind: Kind::Normal };
    for field in Fields(piece) {
        match field? {
            (1, Field::Bytes(text)) => token.text = std::str::from_utf8(text).ok()?.to_owned(),
            (2, Field::Float(score)) => token.score = score,
            (3, Field::Number(kind)) => {
                token.kind = match kind {
                    1 => Kind::Normal,
                    2 => Kind::Unknown,
                    3 => Kind::Control,
                    4 => Kind::UserDefined,
                    5 => Kind::Unused,
                    6 => Kind::Byte,
                    _ => return None,
                };
            }
            _ => {}
        }
    }
    Some(token)
}

enum Field<'a> {
    Number(u64),
    Float(f32),
    Bytes(&'a [u8]),
    Other,
}

/// The fields of a message; an item of `None` says that it is damaged, and is the last.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Field<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Number(self.varint()?),
            1 => self.take(8).map(|_| Field::Other)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Float(f32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((tag >> 3, field))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}
