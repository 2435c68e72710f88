//! WordPiece (`tokenizer.ggml.model` = `bert`), as Hugging Face's BertTokenizer does it.

use crate::bert_normalizer::{self, BertNormalizer};
use crate::offsets::{Origins, Sink};
use crate::sentencepiece::SPACE;
use crate::vocabulary::{PieceIndex, TokenType, Vocabulary};

/// Longer words are unknown, in characters. Not in the file; every BERT tokenizer has this value.
const LONGEST_WORD: usize = 100;

/// The matching side of a WordPiece tokenizer.
pub(crate) struct WordPiece {
    /// Pieces that begin a word. GGUF writes them with U+2581 in front, which is skipped.
    starts: PieceIndex,
    /// Pieces that go on with a word. GGUF writes them without the authors' `##`.
    continuations: PieceIndex,
    normalizer: BertNormalizer,
    unknown: u32,
}

impl WordPiece {
    pub(crate) fn new(vocabulary: &Vocabulary, normalizer: BertNormalizer, unknown: u32) -> WordPiece {
        let pieces = |start| {
            vocabulary.ids().filter(move |&id| {
                is_piece(vocabulary, id) && start_of_word(vocabulary.text(id)).is_some() == start
            })
        };
        WordPiece {
            starts: PieceIndex::new(vocabulary, pieces(true), SPACE.len_utf8()),
            continuations: PieceIndex::new(vocabulary, pieces(false), 0),
            normalizer,
            unknown,
        }
    }

    /// Appends the ids of a stretch of ordinary text, which begins at byte `base` of the whole.
    pub(crate) fn encode<S: Sink>(
        &self,
        vocabulary: &Vocabulary,
        text: &str,
        withheld: &[u32],
        base: usize,
        scratch: &mut Scratch<S::Origins>,
        ids: &mut S,
    ) {
        self.normalizer.words(text, base, scratch, |word, origins| {
            self.encode_word(vocabulary, word, withheld, origins, ids);
            !ids.is_full()
        });
    }

    /// Longest piece first; a word that cannot be covered is one unknown.
    fn encode_word<S: Sink>(
        &self,
        vocabulary: &Vocabulary,
        word: &str,
        withheld: &[u32],
        origins: &S::Origins,
        ids: &mut S,
    ) {
        // Four bytes a character at most, so that most words need no count.
        if word.len() > LONGEST_WORD && word.chars().count() > LONGEST_WORD {
            ids.push(self.unknown, || origins.of(0..word.len()));
            return;
        }
        let before = ids.ids().len();
        let mut at = 0;
        while at < word.len() {
            let index = if at == 0 { &self.starts } else { &self.continuations };
            let mut end = word.floor_char_boundary(at + index.longest());
            let found = loop {
                if end <= at {
                    break None;
                }
                let id = index.get(vocabulary, &word.as_bytes()[at..end]);
                if let Some(id) = id.filter(|id| !withheld.contains(id)) {
                    break Some(id);
                }
                end = word.floor_char_boundary(end - 1);
            };
            let Some(id) = found else {
                ids.truncate(before);
                ids.push(self.unknown, || origins.of(0..word.len()));
                return;
            };
            ids.push(id, || origins.of(at..end));
            at = end;
        }
    }
}

/// What a call works in.
pub(crate) type Scratch<O> = bert_normalizer::Scratch<O>;

/// Whether text can become this token.
pub(crate) fn is_piece(vocabulary: &Vocabulary, id: u32) -> bool {
    matches!(vocabulary.token_type(id), Some(TokenType::Normal | TokenType::UserDefined))
}

/// The word start that GGUF writes with U+2581 in front. The marker alone is no start of a word, but the
/// piece `##▁`.
pub(crate) fn start_of_word(text: &str) -> Option<&str> {
    text.strip_prefix(SPACE).filter(|start| !start.is_empty())
}
