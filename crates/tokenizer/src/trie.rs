//! All tokens that a text begins with, in one walk.

/// A trie over bytes. The children of a node lie side by side, so that a node is two numbers and a label.
pub(crate) struct Trie {
    nodes: Vec<Node>,
    /// The byte that leads to a node from its parent.
    labels: Vec<u8>,
    /// The children of the root by their byte; 0, the root, where there is none.
    roots: [u32; 256],
}

#[derive(Clone, Copy)]
struct Node {
    /// The children are `first_child..first_child of the next node`.
    first_child: u32,
    /// The token that ends here.
    token: u32,
}

const NONE: u32 = u32::MAX;

impl Trie {
    /// From texts and their ids; of equal texts the lowest id is kept, empty ones are left out.
    pub(crate) fn new<'a>(texts: impl Iterator<Item = (&'a str, u32)>) -> Trie {
        let mut texts: Vec<(&[u8], u32)> = texts.map(|(text, id)| (text.as_bytes(), id)).collect();
        texts.sort_unstable();
        texts.dedup_by(|later, earlier| later.0 == earlier.0);
        let mut nodes = vec![Node { first_child: NONE, token: NONE }];
        let mut labels = vec![0];
        // Breadth first: the texts below a node, which share as many bytes as the node is deep.
        let mut below = vec![(0, texts.len())];
        let mut at = 0;
        let mut depth_ends = (1, 0);
        while at < nodes.len() {
            if at == depth_ends.0 {
                depth_ends = (nodes.len(), depth_ends.1 + 1);
            }
            let depth = depth_ends.1;
            let (mut begin, end) = below[at];
            nodes[at].first_child = nodes.len() as u32;
            if let Some((text, id)) = texts[begin..end].first().filter(|(text, _)| text.len() == depth) {
                nodes[at].token = if text.is_empty() { NONE } else { *id };
                begin += 1;
            }
            while begin < end {
                let label = texts[begin].0[depth];
                let same = texts[begin..end].partition_point(|(text, _)| text[depth] == label);
                nodes.push(Node { first_child: NONE, token: NONE });
                labels.push(label);
                below.push((begin, begin + same));
                begin += same;
            }
            at += 1;
        }
        // The end of the last node's children.
        nodes.push(Node { first_child: nodes.len() as u32, token: NONE });
        let mut roots = [0; 256];
        for child in nodes[0].first_child..nodes[1].first_child {
            roots[usize::from(labels[child as usize])] = child;
        }
        Trie { nodes, labels, roots }
    }

    /// Hands the length and the id of every token at the front of `text` to `take`, short ones first.
    pub(crate) fn prefixes(&self, text: &[u8], mut take: impl FnMut(usize, u32)) {
        let Some((&first, rest)) = text.split_first() else { return };
        let mut node = self.roots[usize::from(first)] as usize;
        if node == 0 {
            return;
        }
        let mut length = 1;
        let mut rest = rest.iter();
        loop {
            let Node { first_child, token } = self.nodes[node];
            if token != NONE {
                take(length, token);
            }
            let Some(&byte) = rest.next() else { return };
            let children = first_child as usize..self.nodes[node + 1].first_child as usize;
            let labels = &self.labels[children.clone()];
            // Most nodes have a few children, which are looked through faster than searched.
            let found = match labels.len() {
                0..16 => labels.iter().position(|&label| label == byte),
                _ => labels.binary_search(&byte).ok(),
            };
            let Some(place) = found else { return };
            node = children.start + place;
            length += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(texts: &[&str], text: &str) -> Vec<(usize, u32)> {
        let mut found = Vec::new();
        Trie::new(texts.iter().copied().zip(0..))
            .prefixes(text.as_bytes(), |length, id| found.push((length, id)));
        found
    }

    #[test]
    fn prefixes() {
        let texts = ["ab", "a", "abcd", "b", "\u{e9}", "", "a", "ac"];
        assert_eq!(found(&texts, "abcde"), [(1, 1), (2, 0), (4, 2)]);
        assert_eq!(found(&texts, "acd"), [(1, 1), (2, 7)]);
        assert_eq!(found(&texts, "\u{e9}a"), [(2, 4)]);
        assert_eq!(found(&texts, "\u{e8}"), []);
        assert_eq!(found(&texts, ""), []);
        assert_eq!(found(&[], "a"), []);
    }

    #[test]
    fn many_children() {
        let texts: Vec<String> =
            ('a'..='z').flat_map(|a| ('a'..='z').map(move |b| format!("{a}{b}"))).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        assert_eq!(found(&texts, "zzz"), [(2, 675)]);
        assert_eq!(found(&texts, "aq"), [(2, 16)]);
    }
}
