//! Merkle trees as RFC 6962, section 2.1, hashes them: a leaf is `SHA-256(0x00 ‖ data)`, a node `SHA-256(0x01 ‖ left ‖ right)`.

use sha2::{Digest, Sha256};

/// A SHA-256.
pub type Hash = [u8; 32];

/// Hash of a leaf, of the pieces of its data.
pub fn leaf(pieces: &[&[u8]]) -> Hash {
    hash(0, pieces)
}

/// Hash of an inner node.
pub fn node(left: &Hash, right: &Hash) -> Hash {
    hash(1, &[left, right])
}

pub(crate) fn hash(kind: u8, pieces: &[&[u8]]) -> Hash {
    let mut sum = Sha256::new();
    sum.update([kind]);
    for piece in pieces {
        sum.update(piece);
    }
    sum.finalize().into()
}

/// A tree that grows by leaves and keeps only what its root needs: one hash per bit of its size.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Frontier {
    size: u64,
    /// Roots of the whole trees that it is made of, the largest first.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Takes one more leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut top = leaf;
        let mut size = self.size;
        while size & 1 == 1 {
            // There is a peak for each bit that is set.
            let Some(left) = self.peaks.pop() else { break };
            top = node(&left, &top);
            size >>= 1;
        }
        self.peaks.push(top);
        self.size += 1;
    }

    /// Its peaks as hexadecimal; with the size they are all of it: see [`Frontier::read`].
    pub fn write(&self) -> String {
        self.peaks.iter().map(|peak| hex(peak)).collect()
    }

    /// The inverse of [`Frontier::write`]; `None`: these are not the peaks of so many leaves.
    pub fn read(size: u64, peaks: &str) -> Option<Frontier> {
        let peaks: Option<Vec<Hash>> = peaks.as_bytes().chunks(64).map(|peak| unhex(std::str::from_utf8(peak).ok()?)).collect();
        peaks.filter(|peaks| peaks.len() as u32 == size.count_ones()).map(|peaks| Frontier { size, peaks })
    }

    /// Leaves so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree; of an empty one the hash of nothing (RFC 6962, section 2.1).
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return Sha256::digest([]).into() };
        peaks.fold(*last, |right, left| node(left, &right))
    }
}

/// A whole tree, for inclusion proofs: 64 bytes a leaf.
pub struct Tree {
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// Of its leaves, in order.
    pub fn new(leaves: Vec<Hash>) -> Tree {
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let next = level
                .chunks(2)
                .map(|pair| match pair {
                    [left, right] => node(left, right),
                    odd => odd[0],
                })
                .collect();
            levels.push(next);
        }
        Tree { levels }
    }

    /// Root.
    pub fn root(&self) -> Hash {
        self.levels.last().and_then(|level| level.first()).copied().unwrap_or_else(|| Sha256::digest([]).into())
    }

    /// The audit path of a leaf (RFC 6962, section 2.1.1), from the leaf up; `None`: there is no such leaf.
    pub fn path(&self, index: u64) -> Option<Vec<Hash>> {
        let mut at = usize::try_from(index).ok().filter(|at| *at < self.levels[0].len())?;
        let mut path = Vec::new();
        for level in &self.levels {
            path.extend(level.get(at ^ 1).filter(|_| level.len() > 1));
            at >>= 1;
        }
        Some(path)
    }
}

/// The root that an audit path leads to (RFC 9162, section 2.1.3.2); `None`: the path does not fit the size.
pub fn root_of_path(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut at, mut last, mut top) = (index, size - 1, leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            top = node(sibling, &top);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            top = node(&top, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(top)
}

/// In hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The inverse of [`hex`].
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    for (n, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * n..2 * n + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Leaves and roots of Certificate Transparency's reference implementation (`merkle_tree_test.cc`).
    #[test]
    fn roots_are_those_of_certificate_transparency() {
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut frontier = Frontier::default();
        assert_eq!(hex(&frontier.root()), roots[0]);
        for (n, data) in leaves.iter().enumerate() {
            frontier.push(leaf(&[data]));
            assert_eq!(hex(&frontier.root()), roots[n + 1], "{} leaves", n + 1);
        }
    }

    proptest! {
        #[test]
        fn every_leaf_leads_to_the_root_and_to_no_other_place(
            size in 1u64..70, at in any::<prop::sample::Index>(), other in any::<prop::sample::Index>()
        ) {
            let leaves: Vec<Hash> = (0..size).map(|n| leaf(&[&n.to_be_bytes()])).collect();
            let mut frontier = Frontier::default();
            leaves.iter().for_each(|leaf| frontier.push(*leaf));
            let tree = Tree::new(leaves.clone());
            prop_assert_eq!(tree.root(), frontier.root());
            let (index, wrong) = (at.index(leaves.len()), other.index(leaves.len()));
            let path = tree.path(index as u64).unwrap();
            prop_assert_eq!(root_of_path(leaves[index], index as u64, size, &path), Some(tree.root()));
            if wrong != index {
                prop_assert_ne!(root_of_path(leaves[wrong], index as u64, size, &path), Some(tree.root()));
                prop_assert_ne!(root_of_path(leaves[index], wrong as u64, size, &path), Some(tree.root()));
            }
            prop_assert_eq!(tree.path(size), None);
            let written = frontier.write();
            prop_assert_eq!(Frontier::read(size, &written), Some(frontier));
            prop_assert_eq!(Frontier::read(2 * size + 1, &written), None, "a peak is missing");
        }
    }
}
