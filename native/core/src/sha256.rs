//! SHA-256 (FIPS 180-4) of one message, or of many: two side by side where the machine gains by it.

#[cfg(target_arch = "x86_64")]
mod x86;

use std::cell::RefCell;
use std::sync::OnceLock;

/// A hash in the making.
pub(crate) type State = [u32; 8];
pub(crate) type Block = [u8; 64];

/// The first 32 bits of the fractional parts of the square roots of the first 8 primes.
const START: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The hash of a message. Its padding goes into its own buffer for the while.
///
/// Each thread keeps the state after the last first block: in canonical bytes the key fills that block, and most events
/// that one process makes have one key.
#[must_use]
pub fn digest(message: &mut Vec<u8>) -> [u8; 32] {
    thread_local! {
        static FIRST: RefCell<(Block, State)> = const { RefCell::new(([0; 64], START)) };
    }
    let length = message.len();
    pad(message);
    let machine = Machine::this();
    let mut state = START;
    match message.as_chunks().0 {
        [first, rest @ ..] if length >= 64 => {
            FIRST.with_borrow_mut(|(block, after)| {
                if !same(first, block) {
                    machine.compress(&mut state, &[*first]);
                    (*block, *after) = (*first, state);
                }
                state = *after;
            });
            machine.compress(&mut state, rest);
        }
        blocks => machine.compress(&mut state, blocks),
    }
    message.truncate(length);
    bytes(state)
}

/// Takes whole blocks into the state of a hash in the making.
pub(crate) fn compress(state: &mut State, blocks: &[Block]) {
    Machine::this().compress(state, blocks);
}

/// Hashes many messages. `next` appends the next one to the empty buffer that it is given and answers whose it is, or None
/// when there are no more; `done` gets that and the hash. Short messages overtake long ones.
pub fn many<T>(mut next: impl FnMut(&mut Vec<u8>) -> Option<T>, mut done: impl FnMut(T, [u8; 32])) {
    let machine = Machine::this();
    let (mut left, mut right) = (Lane::new(), Lane::new());
    let mut first = First { block: [0; 64], after: None };
    loop {
        left.fill(&mut next, &mut first, machine);
        right.fill(&mut next, &mut first, machine);
        let count = match (left.remaining(), right.remaining()) {
            (0, 0) => return,
            (0, count) | (count, 0) => count,
            (one, other) => one.min(other),
        };
        match (left.take(count), right.take(count)) {
            (Some(one), Some(other)) => machine.compress_two(one, other),
            (Some((state, blocks)), _) | (_, Some((state, blocks))) => machine.compress(state, blocks),
            (None, None) => return,
        }
        left.empty(&mut done);
        right.empty(&mut done);
    }
}

/// One of the messages that are hashed side by side.
struct Lane<T> {
    owner: Option<T>,
    message: Vec<u8>,
    state: State,
    done: usize,
}

impl<T> Lane<T> {
    fn new() -> Self {
        Self { owner: None, message: Vec::with_capacity(4096), state: START, done: 0 }
    }

    /// Takes in the next message, if the last one is done.
    #[inline]
    fn fill(&mut self, next: &mut impl FnMut(&mut Vec<u8>) -> Option<T>, first: &mut First, machine: Machine) {
        if self.owner.is_some() {
            return;
        }
        self.message.clear();
        self.owner = next(&mut self.message);
        if self.owner.is_some() {
            pad(&mut self.message);
            (self.state, self.done) = match self.message.as_chunks().0 {
                [block, _, ..] => first.skip(block, machine).map_or((START, 0), |state| (state, 1)),
                _ => (START, 0),
            };
        }
    }

    /// How many blocks have yet to be hashed.
    fn remaining(&self) -> usize {
        if self.owner.is_some() { self.message.len() / 64 - self.done } else { 0 }
    }

    /// The next blocks, counted as done.
    #[inline]
    fn take(&mut self, count: usize) -> Option<(&mut State, &[Block])> {
        self.owner.as_ref()?;
        let blocks = &self.message.as_chunks().0[self.done..][..count];
        self.done += count;
        Some((&mut self.state, blocks))
    }

    /// Hands the hash on, if all is done.
    #[inline]
    fn empty(&mut self, done: &mut impl FnMut(T, [u8; 32])) {
        if self.remaining() == 0
            && let Some(owner) = self.owner.take()
        {
            done(owner, bytes(self.state));
        }
    }
}

/// The first block of the last message. When the next begins with it too, the state after it is kept: in canonical bytes
/// the key fills that block, and many events that come together have one key.
struct First {
    block: Block,
    after: Option<State>,
}

impl First {
    /// The state after a first block, if it is that of the last message.
    #[inline]
    fn skip(&mut self, block: &Block, machine: Machine) -> Option<State> {
        if !same(&self.block, block) {
            *self = Self { block: *block, after: None };
            return None;
        }
        Some(*self.after.get_or_insert_with(|| {
            let mut state = START;
            machine.compress(&mut state, &[*block]);
            state
        }))
    }
}

/// Whether two blocks are the same, without a call of memcmp.
#[inline]
fn same(one: &Block, other: &Block) -> bool {
    let pairs = one.as_chunks().0.iter().zip(other.as_chunks().0);
    pairs.fold(0, |differ, (a, b)| differ | (u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b))) == 0
}

/// Appends a bit, zeros and the length, up to whole blocks (FIPS 180-4 section 5.1.1).
#[inline]
fn pad(message: &mut Vec<u8>) {
    const PADDING: [u8; 64] = {
        let mut padding = [0; 64];
        padding[0] = 0x80;
        padding
    };
    let bits = message.len() as u64 * 8;
    let padded = (message.len() + 9).next_multiple_of(64);
    message.extend_from_slice(&PADDING); // of a length that is known, so that it is no call
    message.truncate(padded - 8);
    message.extend_from_slice(&bits.to_be_bytes());
}

fn bytes(state: State) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, word) in bytes.as_chunks_mut().0.iter_mut().zip(state) {
        *to = word.to_be_bytes();
    }
    bytes
}

/// What computes the compression function.
#[derive(Clone, Copy, Debug)]
enum Machine {
    /// The SHA instructions of x86.
    #[cfg(target_arch = "x86_64")]
    Sha,
    /// The `sha2` crate: the SHA instructions of other machines, or none.
    Other,
}

impl Machine {
    #[inline]
    fn this() -> Self {
        static THIS: OnceLock<Machine> = OnceLock::new();
        *THIS.get_or_init(|| {
            #[cfg(target_arch = "x86_64")]
            if x86::detected() {
                return Self::Sha;
            }
            Self::Other
        })
    }

    #[inline]
    fn compress(self, state: &mut State, blocks: &[Block]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine has the instructions.
            Self::Sha => unsafe { x86::compress([state], [blocks]) },
            Self::Other => sha2::block_api::compress256(state, blocks),
        }
    }

    /// As many blocks of each.
    #[inline]
    fn compress_two(self, one: (&mut State, &[Block]), other: (&mut State, &[Block])) {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine has the instructions.
            Self::Sha => unsafe { x86::compress([one.0, other.0], [one.1, other.1]) },
            Self::Other => {
                self.compress(one.0, one.1);
                self.compress(other.0, other.1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn message(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i * i + length) as u8).collect()
    }

    /// Messages of every length up to four blocks, and long ones, have the hash that the `sha2` crate gives them.
    #[test]
    fn one() {
        for length in (0..=256).chain([1_000, 4_096, 100_000]) {
            let mut text = message(length);
            let expected = Sha256::digest(&text);
            assert_eq!(digest(&mut text)[..], expected[..], "{length} bytes");
        }
    }

    /// Side by side too, however their lengths differ.
    #[test]
    fn side_by_side() {
        for count in [0, 1, 2, 3, 50] {
            let lengths: Vec<usize> = (0..count).map(|i| [5, 70, 3_000, 0, 64, 500][i % 6] * (i % 7)).collect();
            let (mut waiting, mut found) = (lengths.iter().enumerate(), vec![[0; 32]; count]);
            let next = |buffer: &mut Vec<u8>| {
                let (index, &length) = waiting.next()?;
                buffer.extend(message(length));
                Some(index)
            };
            many(next, |index: usize, hash| found[index] = hash);
            let expected: Vec<[u8; 32]> =
                lengths.iter().map(|&length| Sha256::digest(message(length)).into()).collect();
            assert_eq!(found, expected);
        }
    }

    /// The first blocks that are remembered are those of the messages.
    #[test]
    fn first_blocks() {
        let text = |start: u8, length: usize| [vec![start; 64], message(length)].concat();
        let texts: Vec<_> = (0..60).map(|i| text([1, 1, 1, 2, 1, 2, 2][i % 7], [0, 1, 100][i % 3])).collect();
        let expected: Vec<[u8; 32]> = texts.iter().map(|text| Sha256::digest(text).into()).collect();
        assert_eq!(texts.iter().map(|text| digest(&mut text.clone())).collect::<Vec<_>>(), expected);
        let (mut waiting, mut found) = (texts.iter().enumerate(), vec![[0; 32]; texts.len()]);
        let next = |buffer: &mut Vec<u8>| {
            let (index, text) = waiting.next()?;
            buffer.extend(text);
            Some(index)
        };
        many(next, |index: usize, hash| found[index] = hash);
        assert_eq!(found, expected);
    }

    /// Every way to compute the compression function gives the same.
    #[test]
    fn machines() {
        let blocks = [[1; 64], [2; 64], [3; 64]];
        let (mut a, mut b, mut c, mut d) = (START, START, START, START);
        Machine::Other.compress_two((&mut a, &blocks), (&mut b, &blocks[1..]));
        Machine::this().compress(&mut c, &blocks);
        Machine::this().compress(&mut d, &blocks[1..]);
        assert_eq!((a, b), (c, d));
        Machine::this().compress_two((&mut c, &blocks[1..]), (&mut d, &blocks[..2]));
        Machine::Other.compress(&mut a, &blocks[1..]);
        Machine::Other.compress(&mut b, &blocks[..2]);
        assert_eq!((a, b), (c, d));
    }
}
