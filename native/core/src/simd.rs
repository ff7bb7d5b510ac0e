//! JSON text looked at 64 bytes at a time, by the widest instructions that the machine has.
//!
//! Code that uses them is written once, for any `Isa`, as a `Task`; `on_best` compiles it for each and runs the best.

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use portable::Portable;
use std::mem::MaybeUninit;

/// The characters of a block that JSON treats as special: bit i stands for byte i.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    /// `"`.
    pub quote: u64,
    /// `\`.
    pub slash: u64,
    /// Below 0x20.
    pub control: u64,
}

/// A set of instructions. A value of it is the proof that the machine has them.
pub(crate) trait Isa: Copy {
    /// 64 bytes.
    type Block: Copy;

    /// The bytes of `text` from `at` on; zeros where it has fewer than 64.
    fn load(self, text: &[u8], at: usize) -> Self::Block;

    /// Writes the 64 bytes.
    fn store(self, block: Self::Block, to: &mut [MaybeUninit<u8>; 64]);

    /// The special characters.
    fn marks(self, block: Self::Block) -> Marks;

    /// The letters b, f, n, r, t, which after a backslash mean a control character.
    fn letters(self, block: Self::Block) -> u64;

    /// Writes the bytes with those that are hit as short escapes: how many bytes that takes. None where this set of
    /// instructions cannot do it at once, or where a control character has no short escape.
    #[inline(always)]
    fn escape(self, _: Self::Block, _hits: u64, _control: u64, _to: &mut [MaybeUninit<u8>; 128]) -> Option<usize> {
        None
    }

    /// The bytes that 64 lower-case hexadecimal digits stand for.
    fn unhex(self, digits: &[u8; 64]) -> Option<[u8; 32]>;
}

/// Work that is compiled for each set of instructions. `run` and what it calls have to be `#[inline(always)]`.
pub(crate) trait Task {
    /// What comes out.
    type Output;

    /// Does it.
    fn run<I: Isa>(self, isa: I) -> Self::Output;
}

/// Does a task by the best instructions that the machine has.
#[inline]
pub(crate) fn on_best<T: Task>(task: T) -> T::Output {
    Best::this().run(task)
}

/// The best instructions of this machine, for work that comes in many small tasks.
#[derive(Clone, Copy)]
pub(crate) struct Best(#[cfg(target_arch = "x86_64")] x86::Best);

impl Best {
    #[inline]
    pub(crate) fn this() -> Self {
        Self(
            #[cfg(target_arch = "x86_64")]
            x86::Best::this(),
        )
    }

    #[inline]
    pub(crate) fn run<T: Task>(self, task: T) -> T::Output {
        #[cfg(target_arch = "x86_64")]
        return self.0.run(task);
        #[cfg(not(target_arch = "x86_64"))]
        task.run(Portable)
    }
}

/// The task done by every set of instructions that the machine has.
#[cfg(test)]
pub(crate) fn on_each<T: Task + Clone>(task: &T) -> Vec<T::Output> {
    let mut found = vec![task.clone().run(Portable)];
    #[cfg(target_arch = "x86_64")]
    found.extend(x86::on_each(task));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct Look<'a>(&'a [u8], usize);

    impl Task for Look<'_> {
        type Output = (Marks, u64, [u8; 64], Option<[u8; 32]>);

        #[inline(always)]
        fn run<I: Isa>(self, isa: I) -> Self::Output {
            let block = isa.load(self.0, self.1);
            let mut copy = [MaybeUninit::new(0); 64];
            isa.store(block, &mut copy);
            // SAFETY: every byte had a value before.
            let copy = copy.map(|byte| unsafe { byte.assume_init() });
            (isa.marks(block), isa.letters(block), copy, isa.unhex(&copy))
        }
    }

    /// What each byte of a block is, one by one.
    fn looked(text: &[u8], at: usize) -> <Look<'_> as Task>::Output {
        let mut block = [0; 64];
        let part = text.get(at..).unwrap_or_default();
        block[..part.len().min(64)].copy_from_slice(&part[..part.len().min(64)]);
        let bits = |is: fn(u8) -> bool| block.iter().rev().fold(0, |bits, &byte| bits << 1 | u64::from(is(byte)));
        let marks = Marks { quote: bits(|c| c == b'"'), slash: bits(|c| c == b'\\'), control: bits(|c| c < 0x20) };
        let mut bytes = [0; 32];
        let lower = !block.iter().any(u8::is_ascii_uppercase);
        let hex = (lower && faster_hex::hex_decode(&block, &mut bytes).is_ok()).then_some(bytes);
        (marks, bits(|c| b"bfnrt".contains(&c)), block, hex)
    }

    /// Every set of instructions sees in every byte at every place what a look at that byte alone sees.
    #[test]
    fn all_agree() {
        for byte in 0..=255 {
            for place in [0, 1, 15, 16, 31, 32, 47, 63] {
                let mut text = [b'a'; 64];
                text[place] = byte;
                for found in on_each(&Look(&text, 0)) {
                    assert_eq!(found, looked(&text, 0), "byte {byte} at {place}");
                }
            }
        }
        let digits: Vec<u8> = b"0123456789abcdef".iter().cycle().copied().take(64).collect();
        assert!(on_each(&Look(&digits, 0)).iter().all(|found| found.3 == looked(&digits, 0).3 && found.3.is_some()));
    }

    /// A block that reaches beyond the text has zeros there.
    #[test]
    fn ends() {
        let text: Vec<u8> = (0..=255).collect();
        for length in 0..200 {
            for at in [0, 1, 63, 64, 65, 150, 199, 300] {
                for found in on_each(&Look(&text[..length], at)) {
                    assert_eq!(found, looked(&text[..length], at), "{length} bytes from {at}");
                }
            }
        }
    }
}
